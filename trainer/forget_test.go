//go:build unix

package trainer

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/internal/scrub"
	"retort/llm"
)

// withID is an example with the ID that its content gives it.
func withID(question, response string) dataset.Example {
	ex := dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User(question)}, Response: response})
	ex.Split = dataset.SplitTrain
	return ex
}

var (
	zebra = withID("where does zebra-4711 live?", "in Kenya")
	tapir = withID("where does tapir-0815 live?", "in a very very very long answer")
	plain = withID("my card is gone", "lost card")
)

// zebraRun is a run that trains on zebra and plain, dropped tapir, asks of zebra and
// of something else, and failed with a word on zebra.
func zebraRun(t *testing.T, dir string) *Run {
	t.Helper()
	spec := testSpec()
	spec.Job.Train.MaxLength = 8
	spec.Examples = sequence(zebra, plain, tapir)
	spec.HeldOut = []Item{{Input: "where is my money", Answer: "transfer"}, {Input: "who is zebra-4712?", Answer: "nobody"}}
	spec.Selection = map[string]any{"examples": []string{zebra.ID, plain.ID}}
	r, err := Prepare(t.Context(), dir, spec)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Data.Dropped) != 1 || len(r.Data.Examples) != 2 {
		t.Fatalf("data %+v: this test would prove nothing", r.Data)
	}
	st, err := r.State()
	if err != nil {
		t.Fatal(err)
	}
	st.Status, st.Error = StatusFailed, "python: cannot learn where does zebra-4711 live?"
	err = errors.Join(r.saveState(st), os.Mkdir(r.path("tmp"), 0o700),
		os.WriteFile(r.path("tmp/cache"), []byte("zebra-4711"), 0o600),
		os.WriteFile(r.path(trainFile+".4711.tmp"), []byte(zebra.ID+" where does zebra-4711 live?"), 0o600), // of a killed Forget
		os.WriteFile(r.path(logFile), []byte("step 1\nerror: 'where does zebra-4711 live?'\nstep 2\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func heldOutZebra() dataset.Example { return withID("who is zebra-4712?", "nobody") }

// filesWith lists the files below dir that hold text.
func filesWith(t *testing.T, dir, text string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			names = append(names, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestRun_Forget(t *testing.T) {
	dir := t.TempDir()
	r := zebraRun(t, dir)
	if n := len(filesWith(t, dir, "zebra-4711")); n < 4 {
		t.Fatalf("the text is in %d files: this test would prove nothing", n)
	}
	gone := scrub.Of([]dataset.Example{zebra, tapir, heldOutZebra()})
	trained, others, err := r.Holds(gone)
	if trained != 1 || others != 2 || err != nil {
		t.Errorf("Holds = %d, %d, %v; want 1 and 2", trained, others, err)
	}
	if err := r.Forget(gone); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"zebra-47", zebra.ID, tapir.ID} {
		if found := filesWith(t, dir, text); found != nil {
			t.Errorf("%q is still in %q", text, found)
		}
	}
	want := Data{Examples: []string{plain.ID}, Tokens: 7, Digest: r.Data.Digest, Forgotten: 1, ForgottenOther: 2}
	if diff := cmp.Diff(want, r.Data); diff != "" {
		t.Error(diff)
	}
	opened, err := OpenRun(dir, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, opened); diff != "" {
		t.Errorf("on disk (-in memory +on disk):\n%s", diff)
	}
	if err := opened.checkData(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(r.path(logFile)); string(got) != "step 1\nstep 2\n" || err != nil {
		t.Errorf("log is %q, %v", got, err)
	}
	if items, err := r.heldOut(); len(items) != 1 || err != nil {
		t.Errorf("held-out items %v, %v", items, err)
	}
	if trained, others, err := opened.Holds(gone); trained+others != 0 || err != nil {
		t.Errorf("Holds afterwards = %d, %d, %v", trained, others, err)
	}
}

func TestRun_Forget_isNotTrainedAnyMore(t *testing.T) {
	r := zebraRun(t, t.TempDir())
	stale, err := OpenRun(filepath.Dir(r.Dir), r.ID) // opened before
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Forget(scrub.Of([]dataset.Example{zebra})); err != nil {
		t.Fatal(err)
	}
	for _, run := range []*Run{r, stale} {
		_, err := run.Train(t.Context(), fakeExec(t), nil)
		var hinted interface{ Hint() string }
		if !errors.Is(err, ErrForgotten) || !errors.As(err, &hinted) || !strings.Contains(err.Error(), "1 examples that it was made of were forgotten") {
			t.Errorf("Train: %v", err)
		}
	}
}

func TestRun_Forget_withoutWhatItDidNotLearnItGoesOn(t *testing.T) {
	r := zebraRun(t, t.TempDir())
	if err := r.Forget(scrub.Of([]dataset.Example{heldOutZebra(), tapir})); err != nil {
		t.Fatal(err)
	}
	if r.Data.Forgotten != 0 || r.Data.ForgottenOther != 2 {
		t.Errorf("data %+v", r.Data)
	}
	if err := errors.Join(r.checkForgotten(), r.checkData()); err != nil {
		t.Error(err)
	}
}

// Killed after any of the steps, the next time finds the rest.
func TestRun_Forget_isDoneAgain(t *testing.T) {
	gone := scrub.Of([]dataset.Example{zebra})
	for _, untouched := range [][]string{
		{manifestFile},
		{manifestFile, stateFile},
		{manifestFile, stateFile, selectionFile, heldOutFile},
		{manifestFile, stateFile, selectionFile, heldOutFile, logFile},
		{manifestFile, stateFile, selectionFile, heldOutFile, logFile, trainFile},
	} {
		dir := t.TempDir()
		r := zebraRun(t, dir)
		before := map[string][]byte{}
		for _, name := range untouched {
			data, err := os.ReadFile(r.path(name))
			if err != nil {
				t.Fatal(err)
			}
			before[name] = data
		}
		if err := r.Forget(gone); err != nil {
			t.Fatal(err)
		}
		want := r.Data
		for name, data := range before {
			if err := os.WriteFile(r.path(name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := OpenRun(dir, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if trained, _, err := r.Holds(gone); trained != 1 || err != nil {
			t.Errorf("Holds = %d, %v; want 1", trained, err)
		}
		if err := r.Forget(gone); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, r.Data); diff != "" {
			t.Errorf("without %q: %s", untouched, diff)
		}
		if found := filesWith(t, dir, "zebra-4711"); found != nil {
			t.Errorf("without %q the text is still in %q", untouched, found)
		}
	}
}

func TestRun_Forget_leavesOneThatIsTrained(t *testing.T) {
	dir := t.TempDir()
	r := zebraRun(t, dir)
	before := filesWith(t, dir, "zebra-4711")
	lock, err := r.lock()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := r.Forget(scrub.Of([]dataset.Example{zebra})); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	if diff := cmp.Diff(before, filesWith(t, dir, "zebra-4711")); diff != "" {
		t.Error(diff)
	}
}

func TestForgetRemains(t *testing.T) {
	dir := t.TempDir()
	for name, ex := range map[string]dataset.Example{".prepare-1": zebra, ".prepare-2": plain} {
		spec := testSpec()
		spec.Examples = sequence(ex)
		r, err := Prepare(t.Context(), dir, spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(r.Dir, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, ".prepare-3"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := ForgetRemains(dir, scrub.Of([]dataset.Example{zebra})); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != ".prepare-2" {
		t.Errorf("left %v, %v", entries, err)
	}
	if err := ForgetRemains(filepath.Join(dir, "none"), scrub.Of(nil)); err != nil {
		t.Error(err)
	}
}

// Examples that are forgotten while a model is entered must not go unnoticed.
func TestFinetune_marksWhatWasForgottenMeanwhile(t *testing.T) {
	b := newBench(t)
	opts := b.options("student", false)
	opts.Examples = sequence(zebra, plain)
	out, err := Finetune(t.Context(), b.Deps, opts)
	if err != nil {
		t.Fatal(err)
	}
	run, err := OpenRun(b.RunsDir, out.Run)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.markForgotten(run); err != nil {
		t.Fatal(err)
	}
	if m, err := b.Models.Get("student"); err != nil || m.Stale != nil {
		t.Errorf("stale %+v, %v; want none yet", m.Stale, err)
	}
	if err := run.Forget(scrub.Of([]dataset.Example{zebra})); err != nil {
		t.Fatal(err)
	}
	if err := b.markForgotten(run); err != nil {
		t.Fatal(err)
	}
	if m, err := b.Models.Get("student"); err != nil || m.Stale == nil || !strings.Contains(m.Stale.Why, "forgotten") {
		t.Errorf("stale %+v, %v", m.Stale, err)
	}
	if _, err := Resume(t.Context(), b.Deps, run.ID, nil); !errors.Is(err, ErrForgotten) {
		t.Errorf("Resume: %v", err)
	}
	opts.Examples, opts.ID = sequence(plain), "weak"
	if _, err := Finetune(t.Context(), b.Deps, opts); err != nil {
		t.Fatal(err)
	}
	if m, err := b.Models.Get("weak"); err != nil || m.Stale != nil {
		t.Errorf("a fresh model: stale %+v, %v", m.Stale, err)
	}
}
