package models

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// changes are the calls that change the disk. Each leaves the state before it
// or the state after it, whatever happens on the way.
var changes = []struct {
	name string
	call func(t testing.TB, r *Registry) error
}{
	{"import", func(t testing.TB, r *Registry) error {
		_, err := r.Import(context.Background(), baseGGUF(9).Write(t, "b.gguf"), ImportOptions{ID: "new"})
		return err
	}},
	{"link", func(t testing.TB, r *Registry) error {
		_, err := r.Import(context.Background(), baseGGUF(9).Write(t, "b.gguf"), ImportOptions{ID: "new", Link: true})
		return err
	}},
	{"adapter", func(t testing.TB, r *Registry) error {
		_, err := r.AddAdapter(context.Background(), AdapterSpec{ID: "new", Parent: "base", File: adapterGGUF(9).Write(t, "a.gguf")})
		return err
	}},
	{"merge", func(t testing.TB, r *Registry) error {
		_, err := r.Merge(context.Background(), "tuned", "new", fakeQuantizer{}, MergeOptions{Quantization: "Q8_0"})
		return err
	}},
	{"gate", func(t testing.TB, r *Registry) error { return r.SetGate("tuned", Gate{Passed: true}) }},
	{"use", func(t testing.TB, r *Registry) error { return r.Use("tuned") }},
	{"rollback", func(t testing.TB, r *Registry) error { _, err := r.Rollback(); return err }},
	{"remove", func(t testing.TB, r *Registry) error { return r.Remove("other") }},
}

// prepare makes the state that each change starts from.
func prepare(t *testing.T) *Registry {
	r := open(t, t.TempDir())
	addBase(t, r, "base", 1)
	addBase(t, r, "other", 2)
	addAdapter(t, r, "tuned", "base", 3)
	use(t, r, "base", "other", "base")
	return r
}

// clone returns a copy of r in another folder.
func clone(t *testing.T, r *Registry) *Registry {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(r.dir)); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

// state is all that the registry in dir says, once it was opened anew.
type state struct {
	Manifests []Manifest
	Current   string
	Before    []string // the history
	Left      []string
}

func stateOf(t *testing.T, dir string) state {
	t.Helper()
	r := open(t, dir)
	list, err := r.List()
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range list {
		digest, err := digestOf(context.Background(), r.Path(m), nil)
		if err != nil || digest != m.Digest {
			t.Fatalf("model %q holds %s, not %s: %v", m.ID, digest, m.Digest, err)
		}
		if _, err := r.Resolve(m.ID); err != nil {
			t.Fatal(err)
		}
		list[i].CreatedAt, list[i].Source = time.Time{}, "" // differ from run to run
	}
	h, err := r.readHistory()
	if err != nil {
		t.Fatal(err)
	}
	return state{Manifests: list, Current: current(t, r), Before: h.IDs, Left: leftovers(t, dir)}
}

var errFault = errors.New("fault")

// failAt fails the n-th step.
func failAt(n int, fail func() error) func(string) error {
	return func(string) error {
		if n--; n == 0 {
			return fail()
		}
		return nil
	}
}

func TestChanges_failAtEachStep(t *testing.T) {
	start := prepare(t)
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			for n := 1; ; n++ {
				r := clone(t, start)
				before := stateOf(t, r.dir)
				r.fault = failAt(n, func() error { return errFault })
				err := c.call(t, r)
				after := stateOf(t, r.dir)
				if after.Left != nil {
					t.Fatalf("step %d left %q", n, after.Left)
				}
				if err == nil {
					if cmp.Equal(before, after) || n < 3 {
						t.Errorf("nothing changed, or only %d steps", n)
					}
					return
				}
				if !errors.Is(err, errFault) {
					t.Fatalf("step %d: %v", n, err)
				}
				// A failure after the change itself may leave it; then it is done.
				r.fault = nil
				if err := c.call(t, r); cmp.Equal(before, after) && err != nil {
					t.Fatalf("again after a failure in step %d: %v", n, err)
				}
			}
		})
	}
}

// crashEnv tells the test binary to be the process that is killed.
const crashEnv = "RETORT_TEST_CRASH"

func TestChanges_killedAtEachStep(t *testing.T) {
	if os.Getenv(crashEnv) != "" {
		crash(t)
		return
	}
	start := prepare(t)
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			done := clone(t, start)
			if err := c.call(t, done); err != nil {
				t.Fatal(err)
			}
			want := stateOf(t, done.dir)
			for n := 1; ; n++ {
				r := clone(t, start)
				before := stateOf(t, r.dir)
				cmd := exec.Command(os.Args[0], "-test.run=^TestChanges_killedAtEachStep$")
				cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s", crashEnv, r.dir), "RETORT_TEST_STEP="+strconv.Itoa(n), "RETORT_TEST_CHANGE="+c.name, "TMPDIR="+t.TempDir())
				out, err := cmd.CombinedOutput()
				after := stateOf(t, r.dir)
				if d1, d2 := cmp.Diff(before, after), cmp.Diff(want, after); d1 != "" && d2 != "" {
					t.Fatalf("killed in step %d: neither the old state nor the new: %s", n, d2)
				}
				if err == nil {
					if n < 3 || !cmp.Equal(want, after) {
						t.Errorf("%d steps, %s", n, cmp.Diff(want, after))
					}
					return
				}
				if cmd.ProcessState.Exited() {
					t.Fatalf("step %d: %v: %s", n, err, out)
				}
			}
		})
	}
}

// crash makes a change and kills its own process on the way.
func crash(t *testing.T) {
	r := open(t, os.Getenv(crashEnv))
	n, err := strconv.Atoi(os.Getenv("RETORT_TEST_STEP"))
	if err != nil {
		t.Fatal(err)
	}
	r.fault = failAt(n, func() error {
		p, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = p.Kill()
		}
		if err != nil {
			return err
		}
		select {} // until the signal arrives
	})
	for _, c := range changes {
		if c.name == os.Getenv("RETORT_TEST_CHANGE") {
			if err := c.call(t, r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestOpen_leavesStagesInUse(t *testing.T) {
	r := open(t, t.TempDir())
	s, err := r.newStage()
	if err != nil {
		t.Fatal(err)
	}
	open(t, r.dir)
	if _, err := os.Stat(s.dir); err != nil {
		t.Errorf("a stage in use was removed: %v", err)
	}
	s.lock.Close() // as the end of the process does
	open(t, r.dir)
	if got := leftovers(t, r.dir); got != nil {
		t.Errorf("left: %q", got)
	}
}
