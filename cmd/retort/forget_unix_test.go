//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/internal/files"
	"retort/llm"
	"retort/models"
	"retort/trainer"
)

const zebraText = "zebra-4711-quagga"

// zebraHome is a folder with a home of 50 examples, one of which is about a zebra,
// a run and a model of it, and three exports.
type zebraHome struct {
	*testing.T
	dir string
}

func newZebraHome(t *testing.T) *zebraHome {
	h := &zebraHome{t, t.TempDir()}
	store, err := dataset.Open(filepath.Join(h.dir, "home", "store"), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var train []dataset.Example
	for n := range 50 {
		ex := dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User(fmt.Sprintf("question %d", n))}, Response: "yes", QualityScore: 0.9, TaskType: "general"})
		if n == 7 {
			ex.Messages[0].Content = "Where does " + zebraText + " live?"
			ex = dataset.Identify(ex)
		}
		if _, err := store.Put(t.Context(), ex); err != nil {
			t.Fatal(err)
		}
		if ex.Split == dataset.SplitTrain {
			train = append(train, ex)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"run-1", "run-2"} {
		if err := makeRun(filepath.Join(h.dir, "home", "runs"), id, train, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := makeStudent(filepath.Join(h.dir, "home", "models"), "student", "run-1"); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"retort", "openai", "parquet"} {
		h.mustRun("examples", "export", format+".out", "--format", format)
	}
	if len(h.filesWith(zebraText)) < 6 {
		t.Fatalf("the text is in %q alone: this test would prove nothing", h.filesWith(zebraText))
	}
	return h
}

func (h *zebraHome) command(args ...string) *exec.Cmd {
	cmd := exec.Command("retort", args...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), "RETORT_HOME="+filepath.Join(h.dir, "home"))
	return cmd
}

func (h *zebraHome) mustRun(args ...string) string {
	h.Helper()
	out, err := h.command(args...).CombinedOutput()
	if err != nil {
		h.Fatalf("retort %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// output is what a verb prints on stdout.
func (h *zebraHome) output(args ...string) string {
	h.Helper()
	out, err := h.command(args...).Output()
	if err != nil {
		h.Fatalf("retort %q: %v", args, err)
	}
	return string(out)
}

func (h *zebraHome) filesWith(text string) (names []string) {
	h.Helper()
	err := filepath.WalkDir(h.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			names = append(names, strings.TrimPrefix(path, h.dir))
		}
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	return names
}

// restore gives the folder the content that it had when saved was copied.
func (h *zebraHome) restore(saved string) {
	h.Helper()
	if err := os.RemoveAll(h.dir); err != nil {
		h.Fatal(err)
	}
	if err := os.CopyFS(h.dir, os.DirFS(saved)); err != nil {
		h.Fatal(err)
	}
}

func (h *zebraHome) isStale(id string) bool {
	h.Helper()
	reg, err := models.Open(filepath.Join(h.dir, "home", "models"))
	if err != nil {
		h.Fatal(err)
	}
	m, err := reg.Get(id)
	if err != nil {
		h.Fatal(err)
	}
	return m.Stale != nil
}

// Whenever it is killed, the example is there to be found again or all is done.
func TestForget_killed(t *testing.T) {
	h := newZebraHome(t)
	saved := t.TempDir()
	if err := os.CopyFS(saved, os.DirFS(h.dir)); err != nil {
		t.Fatal(err)
	}
	forget := []string{"examples", "forget", "--match", zebraText, "--yes"}
	began := time.Now()
	h.mustRun(forget...)
	takes := time.Since(began)
	const kills = 12
	died, kept := 0, 0
	for n := range kills {
		h.restore(saved)
		cmd := h.command(forget...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(takes * time.Duration(n+1) / kills):
			_ = cmd.Process.Kill() // it may have ended meanwhile
			<-ended
			died++
		}
		if strings.Contains(h.mustRun("examples", "list"), zebraText) {
			kept++
		} else if found := h.filesWith(zebraText); found != nil || !h.isStale("student") {
			t.Errorf("kill %d: the store has forgotten it, but it is in %q (stale: %t)", n, found, h.isStale("student"))
		}
		h.mustRun(forget...)
		if found := h.filesWith(zebraText); found != nil {
			t.Errorf("kill %d: the text is in %q after the second time", n, found)
		}
		if !h.isStale("student") {
			t.Errorf("kill %d: the model is not stale after the second time", n)
		}
	}
	t.Logf("one forgetting took %v; of %d processes %d were killed, %d of them before the store forgot", takes, kills, died, kept)
	if died == 0 {
		t.Error("none was killed: this test proves nothing")
	}
}

// Whoever copies examples and whoever forgets them wait for each other, and stop
// waiting when they are told to.
func TestForget_waitsForCopies(t *testing.T) {
	h := newZebraHome(t)
	path := filepath.Join(h.dir, "home", "forgetting.lock")
	for _, test := range []struct {
		held func(path string) (*os.File, error)
		args []string
		note string
	}{
		{files.TryLock, []string{"examples", "export", "late.jsonl"}, "waiting for `retort examples forget`"},
		{files.TryLock, []string{"examples", "select"}, "waiting for `retort examples forget`"},
		{files.TryShare, []string{"examples", "forget", "--match", zebraText, "--yes"}, "waiting for another process"},
	} {
		before := h.filesWith(zebraText)
		for _, interrupted := range []bool{true, false} {
			lock, err := test.held(path)
			if err != nil {
				t.Fatal(err)
			}
			cmd := h.command(test.args...)
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stderr)
			if !lines.Scan() || !strings.Contains(lines.Text(), test.note) {
				t.Errorf("%q says %q, want %q", test.args, lines.Text(), test.note)
			}
			if found := h.filesWith(zebraText); !slices.Equal(found, before) {
				t.Errorf("%q: the text was in %q, is in %q", test.args, before, found)
			}
			want := 0
			if interrupted {
				want = exitInterrupted
				_ = cmd.Process.Signal(os.Interrupt) // it is there: nobody has waited for it
			} else {
				lock.Close()
			}
			for lines.Scan() {
			}
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != want {
				t.Errorf("%q, interrupted %t: %v", test.args, interrupted, err)
			}
			lock.Close()
		}
	}
	if found := h.filesWith(zebraText); found != nil {
		t.Errorf("the text is in %q", found)
	}
}

// Exports that go on while an example is forgotten keep nothing of it.
func TestForget_amongExports(t *testing.T) {
	h := newZebraHome(t)
	stop := make(chan struct{})
	var exporting sync.WaitGroup
	for n := range 4 {
		exporting.Go(func() {
			for try := 0; ; try++ {
				select {
				case <-stop:
					return
				default:
				}
				out, err := h.command("examples", "export", fmt.Sprintf("%d-%d.jsonl", n, try)).CombinedOutput()
				if err != nil {
					t.Errorf("export: %v\n%s", err, out)
					return
				}
			}
		})
	}
	time.Sleep(time.Second)
	h.mustRun("examples", "forget", "--match", zebraText, "--yes")
	close(stop)
	exporting.Wait()
	h.mustRun("learning-stats") // whoever held the store has written it anew by then
	if found := h.filesWith(zebraText); found != nil {
		t.Errorf("the text is in %q", found)
	}
}

// A model that is being trained on an example keeps all of it where it is.
func TestForget_whileTrained(t *testing.T) {
	h := newZebraHome(t)
	before := h.filesWith(zebraText)
	run, err := trainer.OpenRun(filepath.Join(h.dir, "home", "runs"), "run-2")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(run.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for _, status := range []trainer.Status{trainer.StatusRunning, trainer.StatusPrepared} { // it may begin in between, too
		state, err := json.Marshal(trainer.State{Status: status})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(run.Dir, "state.json"), state, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := h.command("examples", "forget", "--match", zebraText, "--yes").CombinedOutput()
		if cmd, ok := err.(*exec.ExitError); !ok || cmd.ExitCode() != exitPartial || !strings.Contains(string(out), "run run-2 is being trained") ||
			!strings.Contains(string(out), "hint: wait for it, or `retort runs cancel run-2`") {
			t.Errorf("%s: %v\n%s", status, err, out)
		}
		if status == trainer.StatusRunning && len(h.filesWith(zebraText)) != len(before) {
			t.Errorf("the text was in %q, is in %q", before, h.filesWith(zebraText))
		}
		if !strings.Contains(h.mustRun("examples", "list"), zebraText) {
			t.Error("the example is gone from the store")
		}
	}
	lock.Close()
	h.mustRun("examples", "forget", "--match", zebraText, "--yes")
	if found := h.filesWith(zebraText); found != nil {
		t.Errorf("the text is still in %q", found)
	}
	if out := h.mustRun("models", "list"); !strings.Contains(out, "stale") {
		t.Errorf("no model is stale:\n%s", out)
	}
}

// So does a distil job that is going on.
func TestForget_whileDistilling(t *testing.T) {
	h := newZebraHome(t)
	root := filepath.Join(h.dir, "home", "distill")
	if err := os.MkdirAll(filepath.Join(root, "job-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	const digest = "sha256:0123456789abcdef"
	for name, text := range map[string]string{jobFile: `{"id":"job-1","tasks_digest":"` + digest + `"}`,
		tasksFile: `{"messages":[{"role":"user","content":"Where does ` + zebraText + ` live?"}]}` + "\n"} {
		if err := os.WriteFile(filepath.Join(root, "job-1", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := files.TryLock(filepath.Join(root, shortID(digest)+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	before := h.filesWith(zebraText)
	out, err := h.command("examples", "forget", "--match", zebraText, "--yes").CombinedOutput()
	if cmd, ok := err.(*exec.ExitError); !ok || cmd.ExitCode() != exitPartial || !strings.Contains(string(out), "distil job job-1 is going on") {
		t.Errorf("%v\n%s", err, out)
	}
	if diff := cmp.Diff(before, h.filesWith(zebraText)); diff != "" {
		t.Errorf("files with the text: %s", diff)
	}
	lock.Close()
	h.mustRun("examples", "forget", "--match", zebraText, "--yes")
	if found := h.filesWith(zebraText); found != nil {
		t.Errorf("the text is still in %q", found)
	}
}

// Killed between an export's new file and its record, the next time knows the file
// as its own.
func TestForget_knowsItsOwnExports(t *testing.T) {
	h := newZebraHome(t)
	pattern := filepath.Join(h.dir, "home", "exports", "*.json")
	saved := map[string]exportRecord{}
	for _, path := range globbed(t, pattern) {
		var e exportRecord
		if err := readJSON(path, &e); err != nil {
			t.Fatal(err)
		}
		saved[path] = e
	}
	if len(saved) != 3 {
		t.Fatalf("%d exports are recorded, want 3", len(saved))
	}
	h.mustRun("examples", "forget", "--match", zebraText, "--yes")
	h.mustRun("examples", "add", "--input", "Where does "+zebraText+" live?", "--response", "yes")
	for path, e := range saved {
		next, err := files.SHA256(e.Path)
		if err != nil {
			t.Fatal(err)
		}
		e.Next = next
		if err := writeJSON(path, e); err != nil {
			t.Fatal(err)
		}
	}
	var v forgetView
	if err := json.Unmarshal([]byte(h.output("examples", "forget", "--match", zebraText, "--yes", "--json")), &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Exports) != 3 || len(v.ExportsLeft) != 0 {
		t.Errorf("exports %q, left %q", v.Exports, v.ExportsLeft)
	}
	for path := range saved {
		var e exportRecord
		if err := readJSON(path, &e); err != nil {
			t.Fatal(err)
		}
		if sum, err := files.SHA256(e.Path); err != nil || sum != e.SHA256 || e.Next != "" || e.Removed != 1 {
			t.Errorf("record %+v, file %s, %v", e, sum, err)
		}
	}
}

func globbed(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// An export that was moved behind a link is written where it lies, with its mode.
func TestForget_followsLinks(t *testing.T) {
	h := newZebraHome(t)
	file, link := filepath.Join(h.dir, "elsewhere.out"), filepath.Join(h.dir, "openai.out")
	for _, err := range []error{os.Rename(link, file), os.Symlink(file, link), os.Chmod(file, 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	h.mustRun("examples", "forget", "--match", zebraText, "--yes")
	if found := h.filesWith(zebraText); found != nil {
		t.Errorf("the text is still in %q", found)
	}
	if target, err := os.Readlink(link); target != file || err != nil {
		t.Errorf("link to %q, %v", target, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// An export that cannot be written anew keeps the examples in the store, so that
// they can be found again.
func TestForget_exportCannotBeWritten(t *testing.T) {
	h := newZebraHome(t)
	record := globbed(t, filepath.Join(h.dir, "home", "exports", "*.json"))[0]
	var e exportRecord
	if err := readJSON(record, &e); err != nil {
		t.Fatal(err)
	}
	newer := e
	newer.Format = "of-a-newer-version"
	if err := writeJSON(record, newer); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(e.Path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.command("examples", "forget", "--match", zebraText, "--yes").CombinedOutput()
	if err == nil || !strings.Contains(string(out), e.Path+"\" anew: ") || !strings.Contains(string(out), "hint: the store has forgotten nothing yet") {
		t.Errorf("%v\n%s", err, out)
	}
	if after, err := os.ReadFile(e.Path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was touched (%v)", err)
	}
	if !strings.Contains(h.mustRun("examples", "list"), zebraText) {
		t.Error("the store has forgotten it")
	}
	if err := writeJSON(record, e); err != nil {
		t.Fatal(err)
	}
	h.mustRun("examples", "forget", "--match", zebraText, "--yes")
	if found := h.filesWith(zebraText); found != nil {
		t.Errorf("the text is still in %q", found)
	}
}
