package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/internal/bench"
)

// targetExamples is how many the targets are for.
const targetExamples = 1_000_000

// datasetWorks are the works that --only knows, in the order they run.
var datasetWorks = []string{"ingest", "writers", "memory", "stats", "open", "export", "near"}

func (p *program) benchDatasetCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name:  "dataset",
		Usage: "measure the example store against Badger, SQLite and datasketch, side by side",
		Description: "A store of its own is filled, read and removed again; yours is not touched. Each step runs in a process of\n" +
			"its own. What has no peer is compared with a bar: the ratio is the figure divided by the bar.\n\n" +
			"  retort bench dataset --examples 20000 --rounds 3\n\n" +
			"`make bench-dataset` brings datasketch. Works for --only:\n" + strings.Join(datasetWorks, ", ") + ".",
		Flags: append(measuringFlags(5),
			&cli.IntFlag{Name: "examples", Value: targetExamples, Usage: "of about 1 KiB; the targets are for the default"},
			&cli.StringFlag{Name: "dir", Usage: "`FOLDER` on the disk to measure (default: the cache of the data folder)"},
			&cli.StringFlag{Name: "python", Usage: "a Python `PROGRAM` for SQLite (default: the first one found)"},
			&cli.StringFlag{Name: "datasketch", Usage: "a Python `PROGRAM` that has datasketch"}),
	}, runBenchDataset)
}

// datasetView is what bench dataset says.
type datasetView struct {
	measured
	Examples int `json:"examples"`
}

func runBenchDataset(ctx context.Context, c *cli.Context, r *retort) error {
	only, err := chosenWorks(c, datasetWorks)
	if err != nil {
		return err
	}
	if c.Int("examples") < 1 {
		return usage("--examples is %d, want 1 or more", c.Int("examples"))
	}
	s, err := r.datasetSides(ctx, c)
	if err != nil {
		return err
	}
	defer s.close()
	works, rows, err := s.plan(ctx, only)
	if err != nil {
		return err
	}
	opts := bench.Options{Rounds: c.Int("rounds"), Seed: s.seed, Force: c.Bool("force"), Patience: c.Duration("patience")}
	runs, err := r.runWorks(ctx, works, opts)
	view := datasetView{measure(runs, rows, s.machine, s.seed), s.examples}
	if err := endBench(c, view, err); err != nil {
		return err
	}
	what := fmt.Sprintf("%d examples", s.examples)
	if s.examples < targetExamples {
		what += fmt.Sprintf(" (the targets are for %d)", targetExamples)
	}
	r.showMeasured(what, view.measured)
	return r.object(view)
}

// datasetSides is everything that a measurement of the store runs on.
type datasetSides struct {
	r        *retort
	dir      string // removed by close
	examples int
	seed     uint64
	machine  bench.Machine

	python     peerProgram
	datasketch peerProgram
	filled     map[string]float64 // what the process that filled the store took; nil before fill
}

// datasetSides makes the folder to work in, if there is room for it, and looks for
// the peers.
func (r *retort) datasetSides(ctx context.Context, c *cli.Context) (*datasetSides, error) {
	parent := c.String("dir")
	if parent == "" {
		parent = r.path("cache", "bench")
		if err := os.MkdirAll(parent, 0o700); err != nil {
			return nil, err
		}
	}
	s := &datasetSides{r: r, examples: c.Int("examples"), seed: uint64(c.Int64("seed")), machine: bench.ReadMachine()}
	if err := checkDisk(parent, s.examples, c.Bool("force")); err != nil {
		return nil, err
	}
	s.machine.Versions["retort"] = version()
	s.python = s.findPython(ctx, c.String("python"))
	s.datasketch = s.findDatasketch(ctx, c.String("datasketch"))
	parent, err := filepath.Abs(parent)
	if err == nil {
		s.dir, err = os.MkdirTemp(parent, "dataset-*")
	}
	return s, err
}

func (s *datasetSides) close() {
	if err := os.RemoveAll(s.dir); err != nil {
		s.r.note("left behind: %v", err)
	}
}

// path names a place in the folder to work in.
func (s *datasetSides) path(name string) string { return filepath.Join(s.dir, name) }

// What the work takes at most on disk: the rows of the peers, two stores at a time
// with their logs and compactions, and what is exported.
const (
	diskPerExample = 8 << 10
	diskBeside     = 512 << 20
)

// checkDisk refuses a disk that is too small, or that is none.
func checkDisk(dir string, examples int, force bool) error {
	disk, known, err := bench.ReadDisk(dir)
	if err != nil || !known {
		return err
	}
	need := uint64(examples)*diskPerExample + diskBeside
	switch {
	case disk.Free < need:
		err := fmt.Errorf("bench in %q: %w: %d MB free, %d MB needed for %d examples", dir, dataset.ErrNoSpace, disk.Free/1e6, need/1e6, examples)
		return withHint(err, "name a folder on another disk (--dir), or take fewer --examples")
	case disk.RAM && !force:
		err := errors.New("it is kept in memory, where nothing is durable")
		return withHint(fmt.Errorf("bench in %q: %w", dir, err), "name a folder on a disk (--dir), or add --force")
	}
	return nil
}
