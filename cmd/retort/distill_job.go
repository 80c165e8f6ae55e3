package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"retort/internal/files"
)

// The files of a run of distill, in a folder of its own below distill/.
const (
	jobFile        = "job.json"         // what is asked, and how
	tasksFile      = "tasks.jsonl"      // the questions, as they were read
	badFile        = "bad-lines.jsonl"  // lines that are none
	variationsFile = "variations.jsonl" // further questions, one line for each seed
	spentFile      = "spent.jsonl"      // the ledger
	resultFile     = "result.json"      // the report of the last time
)

// distillJob is the content of job.json.
type distillJob struct {
	ID        string          `json:"id"`
	File      string          `json:"file"` // absolute, or "-"
	CreatedAt time.Time       `json:"created_at"`
	Tasks     int             `json:"tasks"`
	Digest    string          `json:"tasks_digest"`
	Members   []string        `json:"members"`              // who is asked
	Budget    *float64        `json:"budget_usd,omitempty"` // of all times together; a later time may change it
	Settings  distillSettings `json:"settings"`
}

// distillSettings are what stays the same from one time to the next. Each is named
// as its flag is, but for _ instead of -.
type distillSettings struct {
	TaskType        string   `json:"task_type"`
	System          string   `json:"system"`
	Models          int      `json:"models"`
	Members         []string `json:"members"`
	Strategy        string   `json:"strategy"`
	Samples         int      `json:"samples"`
	MaxTokens       int      `json:"max_tokens"`
	Temperature     float64  `json:"temperature"`
	Seed            *int64   `json:"seed"`
	MinConfidence   float64  `json:"min_confidence"`
	Judges          []string `json:"judges"`
	CrossLikelihood bool     `json:"cross_likelihood"`
	Embedder        string   `json:"embedder"`
	Fuser           string   `json:"fuser"`
	Expand          int      `json:"expand"`
	Again           bool     `json:"again"`
}

func distillSettingsOf(c *cli.Context) distillSettings {
	s := distillSettings{TaskType: c.String("task-type"), System: c.String("system"), Models: c.Int("models"), Members: c.StringSlice("members"),
		Strategy: c.String("strategy"), Samples: c.Int("samples"), MaxTokens: c.Int("max-tokens"), Temperature: c.Float64("temperature"),
		MinConfidence: c.Float64("min-confidence"), Judges: c.StringSlice("judges"), CrossLikelihood: c.Bool("cross-likelihood"),
		Embedder: c.String("embedder"), Fuser: c.String("fuser"), Expand: c.Int("expand"), Again: c.Bool("again")}
	if c.IsSet("seed") {
		s.Seed = new(c.Int64("seed"))
	}
	return s
}

// differs names the first flag that given, by those of its settings that isSet,
// and the run do not have in common; "" if there is none.
func (j distillJob) differs(given distillSettings, isSet func(flag string) bool) string {
	mine, theirs := fieldsOf(j.Settings), fieldsOf(given)
	for _, name := range slices.Sorted(maps.Keys(mine)) {
		flag := strings.ReplaceAll(name, "_", "-")
		if isSet(flag) && !reflect.DeepEqual(mine[name], theirs[name]) {
			return fmt.Sprintf("--%s is %v, but in run %s it is %v", flag, theirs[name], j.ID, mine[name])
		}
	}
	return ""
}

// fieldsOf are the settings by name, as JSON has them.
func fieldsOf(s distillSettings) (out map[string]any) {
	text, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(err) // plain fields
	}
	return out
}

// digestOfTasks is equal for equal lists.
func digestOfTasks(tasks []task) string {
	var all strings.Builder
	for _, t := range tasks {
		fmt.Fprintln(&all, t.Digest, t.TaskType)
	}
	return textDigest(all.String())
}

var notInRunID = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// newRunDir makes a folder for a run over file, below root.
func newRunDir(root, file string, now time.Time) (id string, err error) {
	name := strings.Trim(notInRunID.ReplaceAllString(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), "-"), "-")
	if name == "" {
		name = "tasks"
	}
	base := now.UTC().Format("20060102-150405-") + name[:min(len(name), 40)]
	for n := 1; ; n++ {
		if id = base; n > 1 {
			id = fmt.Sprintf("%s-%d", base, n)
		}
		if err := os.Mkdir(filepath.Join(root, id), 0o700); !errors.Is(err, fs.ErrExist) {
			return id, err
		}
	}
}

// savedRun is a run as it lies on disk.
type savedRun struct {
	dir    string
	job    distillJob
	result *distillView // of the last time; nil if that was broken off
}

// savedRuns are the runs below root, oldest first, and what is wrong with others.
func savedRuns(root string) (runs []savedRun, damaged error) {
	dirs, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, dir := range dirs {
		if !dir.IsDir() {
			continue
		}
		run := savedRun{dir: filepath.Join(root, dir.Name())}
		err := readJSON(filepath.Join(run.dir, jobFile), &run.job)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it ended before it began
		}
		if err == nil && run.job.ID != dir.Name() {
			err = fmt.Errorf("read %q: it is of run %q", filepath.Join(run.dir, jobFile), run.job.ID)
		}
		if err != nil {
			damaged = errors.Join(damaged, err)
			continue
		}
		var v distillView
		if err := readJSON(filepath.Join(run.dir, resultFile), &v); err == nil {
			run.result = &v
		}
		runs = append(runs, run)
	}
	slices.SortStableFunc(runs, func(a, b savedRun) int { return a.job.CreatedAt.Compare(b.job.CreatedAt) })
	return runs, damaged
}

// lastRun is the newest run over file: of several one that is not finished.
func lastRun(runs []savedRun, file string) (last savedRun, ok bool) {
	for _, run := range runs {
		if run.job.File != file {
			continue
		}
		if !ok || !run.finished() || last.finished() {
			last, ok = run, true
		}
	}
	return last, ok
}

// finished reports whether nothing is left to ask.
func (s savedRun) finished() bool {
	return s.result != nil && s.result.Left+s.result.Failed+s.result.Unvaried == 0
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	return nil
}

// writeLines puts each of items on a line of its own at path.
func writeLines[T any](path string, items []T) error {
	var all []byte
	for _, it := range items {
		line, err := json.Marshal(it)
		if err != nil {
			return err
		}
		all = append(append(all, line...), '\n')
	}
	return files.Write(path, all)
}
