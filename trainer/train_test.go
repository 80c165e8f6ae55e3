//go:build unix

package trainer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newRun prepares a run whose Python does as ordered.
func newRun(t *testing.T, orders ...string) *Run {
	t.Helper()
	r, err := Prepare(t.Context(), t.TempDir(), testSpec())
	if err != nil {
		t.Fatal(err)
	}
	order(t, r, orders...)
	return r
}

func order(t *testing.T, r *Run, orders ...string) {
	t.Helper()
	if err := os.WriteFile(r.path("fake"), []byte(strings.Join(orders, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fakeExec starts the test binary as Python. Its grace is long: a test that
// needs it to end hangs if the end is not forced.
func fakeExec(t *testing.T) Exec {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Exec{Python: self, Grace: time.Hour}
}

func status(t *testing.T, r *Run) Status {
	t.Helper()
	st, err := r.State()
	if err != nil {
		t.Fatal(err)
	}
	return st.Status
}

func TestRun_Train(t *testing.T) {
	r := newRun(t, `say {"event":"stage","stage":"load"}`, "step 1", "step 9", "result", `say {"event":"done"}`)
	var seen []Progress
	res, err := r.Train(t.Context(), fakeExec(t), func(p Progress) { seen = append(seen, p) })
	if err != nil {
		t.Fatal(err)
	}
	want := []Progress{
		{Event: EventStage, Stage: StageLoad},
		{Event: EventStep, Step: 1, Steps: 9, Loss: 0.5},
		{Event: EventStep, Step: 9, Steps: 9, Loss: 0.5},
		{Event: EventDone},
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if res.Rank != 4 || res.LossFirst != 2.5 {
		t.Errorf("result %+v", res)
	}
	if got := status(t, r); got != StatusComplete {
		t.Errorf("status %q, want complete", got)
	}
	// A complete run is not trained again.
	order(t, r, "exit 1")
	if again, err := r.Train(t.Context(), fakeExec(t), nil); err != nil || !cmp.Equal(again, res) {
		t.Errorf("second Train: %+v, %v", again, err)
	}
}

func TestRun_Train_saysWhatWentWrong(t *testing.T) {
	traceback := []string{"warn Traceback (most recent call last):", `warn   File "sft.py", line 7, in <module>`,
		`warn ValueError: rank is \e[31mred`, `warn  50%|#### |\r 60%|##### |`}
	for _, tc := range []struct {
		name   string
		orders []string
		want   string // the error, after train "run-1":
	}{
		{"status", append(traceback, "exit 1"), "python exited with status 1: ValueError: rank is [31mred"},
		{"last line", []string{"warn first", `warn bar\rlast`, "say on stdout", "exit 3"}, "python exited with status 3: last"},
		{"foreseen", []string{"warn ValueError: caught", "warn error: job.json: no base", "exit 1"}, "python exited with status 1: job.json: no base"},
		{"silent", []string{"exit 2"}, "python exited with status 2"},
		{"killed", []string{"warn busy", "shoot"}, "python was ended by a signal (killed): busy"},
		{"result but failed", []string{"result", "exit 1"}, "python exited with status 1"},
		{"no result", []string{"step 9"}, "python ended without a valid result: no result.json"},
		{"digest", []string{"result digest"}, "python ended without a valid result: adapter.gguf: digest is not the one in result.json"},
		{"result status", []string{"result status"}, `python ended without a valid result: result.json: status is "partial"`},
		{"result outside", []string{"result path"}, `python ended without a valid result: result.json: adapter "../adapter.gguf" is not in the run directory`},
		{"result cut off", []string{"result json"}, "python ended without a valid result: result.json: unexpected end of JSON input"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRun(t, tc.orders...)
			_, err := r.Train(t.Context(), fakeExec(t), nil)
			var failed *ProcessError
			if !errors.As(err, &failed) {
				t.Fatalf("error %v, want a *ProcessError", err)
			}
			if want := `train "run-1": ` + tc.want; err.Error() != want {
				t.Errorf("error\n%s\nwant\n%s", err, want)
			}
			if !strings.Contains(failed.Hint(), r.path("log.txt")) {
				t.Errorf("hint %q does not name the log", failed.Hint())
			}
			st, err := r.State()
			if err != nil || st.Status != StatusFailed || st.Error != failed.Error() {
				t.Errorf("state %+v, %v", st, err)
			}
		})
	}
}

func TestRun_Train_relativePaths(t *testing.T) {
	python := fakeExec(t).Python
	t.Chdir(t.TempDir())
	if err := os.Symlink(python, "python"); err != nil {
		t.Fatal(err)
	}
	r, err := Prepare(t.Context(), "runs", testSpec())
	if err != nil {
		t.Fatal(err)
	}
	order(t, r, "result")
	if r, err = OpenRun("runs", r.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Train(t.Context(), Exec{Python: "./python"}, nil); err != nil {
		t.Error(err)
	}
}

func TestRun_Train_missingPython(t *testing.T) {
	r := newRun(t)
	_, err := r.Train(t.Context(), Exec{Python: "/nowhere/python"}, nil)
	var failed *ProcessError
	if !errors.As(err, &failed) || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("error %v, want a *ProcessError of a missing file", err)
	}
	if got := status(t, r); got != StatusFailed {
		t.Errorf("status %q, want failed", got)
	}
}

func TestRun_Train_failedRunCanBeTrainedAgain(t *testing.T) {
	r := newRun(t, "result", "warn first words", "exit 1")
	if _, err := r.Train(t.Context(), fakeExec(t), nil); err == nil {
		t.Fatal("no error")
	}
	order(t, r, "exit 0") // the earlier result must not pass for this attempt's
	if res, err := r.Train(t.Context(), fakeExec(t), nil); err == nil {
		t.Errorf("a result from nowhere: %+v", res)
	}
	order(t, r, "exit 1")
	if _, err := r.Train(t.Context(), fakeExec(t), nil); err == nil || strings.Contains(err.Error(), "first words") {
		t.Errorf("error %v, want one without what an earlier attempt said", err)
	}
	order(t, r, "result")
	if _, err := r.Train(t.Context(), fakeExec(t), nil); err != nil {
		t.Error(err)
	}
}

func TestRun_Train_toleratesNoise(t *testing.T) {
	r := newRun(t, `say Loading weights: 100%\r`, "say \x00\xff{", `say {"event":"surprise"}`, `say {"event":"step","step":NaN}`,
		"flood", "long", "say", "step 9", "result")
	steps := 0
	if _, err := r.Train(t.Context(), fakeExec(t), func(Progress) { steps++ }); err != nil {
		t.Fatal(err)
	}
	if steps != 1 {
		t.Errorf("%d progress lines, want 1", steps)
	}
	log, err := os.ReadFile(r.path("log.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"stdout: Loading weights", `stdout: {"event":"surprise"}`, "stdout: noise", "stderr stderr", "[no more of it is kept]"} {
		if !strings.Contains(string(log), want) {
			t.Errorf("log.txt lacks %q", want)
		}
	}
	if len(log) > 4<<20 {
		t.Errorf("log.txt has %d bytes", len(log))
	}
}

func TestRun_Train_interruptAndResume(t *testing.T) {
	r := newRun(t, "step 3", "unless-resumed", "step 5", "result")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := r.Train(ctx, fakeExec(t), func(p Progress) { cancel() })
	if !errors.Is(err, ErrInterrupted) || !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want ErrInterrupted and context.Canceled", err)
	}
	if want := `train "run-1": interrupted at step 4`; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if got := status(t, r); got != StatusInterrupted {
		t.Errorf("status %q, want interrupted", got)
	}
	awaitNobody(t, r)
	if r, err = OpenRun(filepath.Dir(r.Dir), r.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Train(t.Context(), fakeExec(t), nil); err != nil {
		t.Fatal(err)
	}
	if got := status(t, r); got != StatusComplete {
		t.Errorf("status %q, want complete", got)
	}
}

func TestRun_Train_aResultBeforeTheInterruptCounts(t *testing.T) {
	r := newRun(t, "result", "step 9")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := r.Train(ctx, fakeExec(t), func(p Progress) {
		for process := pid(t, r); !errors.Is(syscall.Kill(process, 0), syscall.ESRCH); {
			runtime.Gosched() // it ends by itself now
		}
		cancel()
	})
	if err != nil {
		t.Error(err)
	}
}

func pid(t *testing.T, r *Run) int {
	t.Helper()
	st, err := r.State()
	if err != nil {
		t.Fatal(err)
	}
	return st.PID
}

func TestRun_Train_refusesChangedData(t *testing.T) {
	r := newRun(t, "result")
	if err := os.WriteFile(r.path(trainFile), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := r.Train(t.Context(), fakeExec(t), nil)
	if want := `train "run-1": data/train.jsonl was changed after the run was prepared`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestRun_Train_environment(t *testing.T) {
	t.Setenv("HF_TOKEN", "canary")
	r := newRun(t, "environment", "result")
	ex := fakeExec(t)
	ex.Env = []string{"PATH=/bin", "LANG=C.UTF-8", "OPENAI_API_KEY=canary", "AWS_SECRET_ACCESS_KEY=canary", "PYTHONPATH=canary",
		"HF_HUB_OFFLINE=0", "HOME=/canary", "LD_PRELOAD=canary", "CUDA_VISIBLE_DEVICES=1", "CUDA_DEVICE_ORDER=PCI_BUS_ID"}
	if _, err := r.Train(t.Context(), ex, nil); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.path("environment"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(string(text), "\n")
	slices.Sort(got)
	tmp := r.path("tmp")
	want := []string{"CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=1", "DO_NOT_TRACK=1", "HF_DATASETS_OFFLINE=1", "HF_HOME=" + tmp, "HF_HUB_DISABLE_TELEMETRY=1",
		"HF_HUB_OFFLINE=1", "HOME=" + tmp, "LANG=C.UTF-8", "MKL_NUM_THREADS=2", "OMP_NUM_THREADS=2", "OPENBLAS_NUM_THREADS=2", "PATH=/bin",
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONNOUSERSITE=1", "PYTHONUNBUFFERED=1", "PYTHONUTF8=1", "TMPDIR=" + tmp,
		"TOKENIZERS_PARALLELISM=false", "TRANSFORMERS_OFFLINE=1", "WANDB_MODE=disabled"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(tmp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary folder is left: %v", err)
	}
}
