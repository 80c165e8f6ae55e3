//go:build unix

package trainer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// awaitNobody waits until no process of the run is left; each of them holds its
// lock. That an orphan lives shows as a test that does not end.
func awaitNobody(t *testing.T, r *Run) {
	t.Helper()
	f, err := os.Open(r.path("lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

func TestRun_Train_killsWhatDoesNotListen(t *testing.T) {
	for _, tc := range []struct {
		name string
		exec func(Exec) Exec
	}{
		{"after the grace", func(e Exec) Exec { e.Grace = time.Millisecond; return e }},
		{"at once on the second cancel", func(e Exec) Exec {
			kill := make(chan struct{})
			close(kill)
			e.Kill = kill
			return e
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRun(t, "grandchild", "step 2", "deaf")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := r.Train(ctx, tc.exec(fakeExec(t)), func(p Progress) {
				if p.Event == EventStep {
					cancel()
				}
			})
			if !errors.Is(err, ErrInterrupted) {
				t.Errorf("error %v, want ErrInterrupted", err)
			}
			awaitNobody(t, r)
		})
	}
}

func TestRun_Train_leavesNoGrandchild(t *testing.T) {
	for name, last := range map[string]string{"success": "result", "failure": "exit 1", "killed": "shoot"} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, "grandchild", last)
			if _, err := r.Train(t.Context(), fakeExec(t), nil); (err == nil) != (name == "success") {
				t.Errorf("error %v", err)
			}
			awaitNobody(t, r)
			assertGone(t, r)
		})
	}
}

func TestRun_Train_doesNotWaitForWhoLeftTheGroup(t *testing.T) {
	r := newRun(t, "grandchild escapes", "result")
	if _, err := r.Train(t.Context(), fakeExec(t), nil); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(r.path("grandchild.pid"))
	if err != nil {
		t.Fatal(err)
	}
	escaped, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Train(t.Context(), fakeExec(t), nil); !errors.Is(err, ErrBusy) {
		t.Errorf("Train while it lives: %v, want ErrBusy", err)
	}
	if err := syscall.Kill(escaped, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	awaitNobody(t, r)
}

// TestRun_Train_knowsThatItWasInterrupted: also by how the process ends, where it
// could not say so, as while Python starts, or was not heard in time.
func TestRun_Train_knowsThatItWasInterrupted(t *testing.T) {
	for _, end := range []string{"die 2", "die 15", "exit 130"} {
		t.Run(end, func(t *testing.T) {
			r := newRun(t, "step 1", end)
			if _, err := r.Train(t.Context(), fakeExec(t), nil); !errors.Is(err, ErrInterrupted) || errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want ErrInterrupted and no cancellation", err)
			}
			if got := status(t, r); got != StatusInterrupted {
				t.Errorf("status %q, want interrupted", got)
			}
		})
	}
}

// assertGone fails if the grandchild is more than a zombie, which it becomes a moment
// after it has let go of the lock.
func assertGone(t *testing.T, r *Run) {
	t.Helper()
	text, err := os.ReadFile(r.path("grandchild.pid"))
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + string(text) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the grandchild lives: %s", stat)
		}
	}
}

func TestRun_Train_onlyOneAtATime(t *testing.T) {
	r := newRun(t, "step 1", "unless-resumed")
	_, err := r.Train(t.Context(), fakeExec(t), func(p Progress) {
		if p.Event != EventStep {
			return
		}
		other, err := OpenRun(filepath.Dir(r.Dir), r.ID)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := other.Train(t.Context(), fakeExec(t), nil); !errors.Is(err, ErrBusy) {
			t.Errorf("second Train: %v, want ErrBusy", err)
		}
		if got := status(t, other); got != StatusRunning {
			t.Errorf("status %q, want running", got)
		}
		if err := other.Cancel(); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, ErrInterrupted) || errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want ErrInterrupted and no cancellation", err)
	}
	if err := r.Cancel(); err == nil {
		t.Error("cancelled a run that does not run")
	}
}

// owner trains a run in a process of its own, for the test below.
func owner(dir, id string) {
	r, err := OpenRun(dir, id)
	must(err)
	_, err = r.Train(context.Background(), Exec{Python: os.Args[0]}, func(p Progress) { fmt.Println(p.Step) })
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestRun_Train_diesWithItsOwner(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process together with its parent")
	}
	r := newRun(t, "step 7", "deaf")
	cmd := exec.Command(fakeExec(t).Python, "owner", filepath.Dir(r.Dir), r.ID)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != strconv.Itoa(7) {
		t.Errorf("the owner said %q", lines.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	awaitNobody(t, r)
	if got := status(t, r); got != StatusInterrupted {
		t.Errorf("status %q, want interrupted", got)
	}
	order(t, r, "result")
	if _, err := r.Train(t.Context(), fakeExec(t), nil); err != nil {
		t.Errorf("resume: %v", err)
	}
}
