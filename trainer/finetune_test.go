//go:build unix

package trainer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/llm"
	"retort/models"
	"retort/models/gguf/gguftest"
)

// bench is a registry with one tiny base, and a Python that makes an adapter
// which fits it.
type bench struct {
	Deps
	right map[string]func(i int) bool // by model ID: which numbers it knows
	open  int                         // models that are loaded now
}

func newBench(t *testing.T) *bench {
	t.Helper()
	registry, err := models.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	base := gguftest.File{
		Meta:    []gguftest.Pair{{Key: "general.architecture", Value: "llama"}},
		Tensors: []gguftest.Tensor{gguftest.F32("blk.0.attn_q.weight", []uint64{8, 8}, make([]float32, 64))},
	}.Write(t, "base.gguf")
	if _, err := registry.Import(t.Context(), base, models.ImportOptions{ID: "base", Template: "chatml"}); err != nil {
		t.Fatal(err)
	}
	b := &bench{right: map[string]func(int) bool{
		"base":    func(i int) bool { return i%4 == 0 },
		"student": func(i int) bool { return i%10 != 0 },
		"weak":    func(i int) bool { return i%5 == 0 },
	}}
	b.Deps = Deps{Models: registry, Load: b.load, Exec: fakeExec(t), RunsDir: t.TempDir(), CacheDir: "/cache"}
	adapter := gguftest.File{
		Meta: []gguftest.Pair{{Key: "general.architecture", Value: "llama"}, {Key: "general.type", Value: "adapter"},
			{Key: "adapter.type", Value: "lora"}, {Key: "adapter.lora.alpha", Value: float32(8)}},
		Tensors: []gguftest.Tensor{gguftest.F32("blk.0.attn_q.weight.lora_a", []uint64{8, 4}, make([]float32, 32)),
			gguftest.F32("blk.0.attn_q.weight.lora_b", []uint64{4, 8}, make([]float32, 32))},
	}
	if err := os.WriteFile(filepath.Join(b.RunsDir, "adapter.source"), adapter.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	b.order(t, "step 9", "result")
	return b
}

// order says what Python does in runs to come.
func (b *bench) order(t *testing.T, orders ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.RunsDir, "fake"), []byte(strings.Join(orders, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) load(_ context.Context, id string) (llm.Model, func() error, error) {
	b.open++
	return solves("engine/"+id, b.right[id]), func() error { b.open--; return nil }, nil
}

func (b *bench) options(id string, promote bool) Options {
	return Options{
		Base: "base", ID: id, TaskType: "numbers", HeldOut: numbered(60), Promote: promote, Profile: ProfileCPU, Threads: 1,
		Examples: sequence(example("sha256:01", "number 100", "100"), example("sha256:02", "number 101", "101")),
	}
}

func TestFinetune(t *testing.T) {
	b := newBench(t)
	opts := b.options("student", true)
	var stages []string
	opts.OnProgress = func(p Progress) {
		if p.Event == EventStage {
			stages = append(stages, p.Stage)
		}
		if p.Step == p.Steps && b.open != 0 && p.Stage != StageGate {
			t.Error("the engine is loaded while Python trains")
		}
	}
	out, err := Finetune(t.Context(), b.Deps, opts)
	if err != nil {
		t.Fatal(err)
	}
	if out.Model != "student" || out.Examples != 2 || !out.Promoted || !out.Gate.Passed || out.Gate.Against != "base" {
		t.Errorf("outcome %+v", out)
	}
	if out.Candidate.Accuracy != 0.9 || out.Reference.Accuracy != 0.25 || b.open != 0 {
		t.Errorf("accuracies %g and %g, %d models left open", out.Candidate.Accuracy, out.Reference.Accuracy, b.open)
	}
	if diff := cmp.Diff([]string{StagePrepare, StageGate}, stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	m, err := b.Models.Current()
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != "student" || m.Run != out.Run || m.TaskType != "numbers" || m.Parent != "base" || m.Template != "chatml" ||
		m.Gate == nil || *m.Gate != out.Gate {
		t.Errorf("manifest %+v", m)
	}
	// The next one must be better than this one, not than the base.
	weak, err := Finetune(t.Context(), b.Deps, b.options("weak", true))
	if err != nil {
		t.Fatal(err)
	}
	if weak.Promoted || weak.Gate.Passed || weak.Gate.Against != "student" {
		t.Errorf("outcome %+v", weak)
	}
	if m, _ := b.Models.Current(); m.ID != "student" {
		t.Errorf("%q is in use", m.ID)
	}
}

func TestFinetune_promotesOnlyWhenAsked(t *testing.T) {
	b := newBench(t)
	out, err := Finetune(t.Context(), b.Deps, b.options("student", false))
	if err != nil || !out.Gate.Passed || out.Promoted {
		t.Fatalf("outcome %+v, %v", out, err)
	}
	if _, err := b.Models.Current(); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("a model is in use: %v", err)
	}
}

func TestFinetune_withoutHeldOutItemsNothingPasses(t *testing.T) {
	b := newBench(t)
	opts := b.options("student", true)
	opts.HeldOut = nil
	out, err := Finetune(t.Context(), b.Deps, opts)
	if err != nil || out.Gate.Passed || out.Promoted || out.Gate.Reason != "not decided: there are no held-out items" {
		t.Errorf("outcome %+v, %v", out, err)
	}
}

func TestFinetune_interruptedAndResumed(t *testing.T) {
	b := newBench(t)
	b.order(t, "step 3", "unless-resumed", "result")
	ctx, cancel := context.WithCancel(t.Context())
	opts := b.options("student", true)
	opts.OnProgress = func(p Progress) {
		if p.Event == EventStep {
			cancel()
		}
	}
	out, err := Finetune(ctx, b.Deps, opts)
	if !errors.Is(err, ErrInterrupted) || out.Run == "" {
		t.Fatalf("outcome %+v, error %v", out, err)
	}
	if _, err := b.Models.Get("student"); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("half a model is in the registry: %v", err)
	}
	resumed, err := Resume(t.Context(), b.Deps, out.Run, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !resumed.Promoted || resumed.Gate.Items != 60 || resumed.Examples != 2 {
		t.Errorf("outcome %+v", resumed)
	}
	// A second time there is nothing left to do, and nothing is asked again.
	b.order(t, "exit 1")
	b.right = nil
	again, err := Resume(t.Context(), b.Deps, out.Run, nil)
	if err != nil {
		t.Fatal(err)
	}
	resumed.Candidate, resumed.Reference = nil, nil
	if diff := cmp.Diff(resumed, again); diff != "" {
		t.Errorf("resumed again (-first +second):\n%s", diff)
	}
}

func TestFinetune_aGateCutShortIsDoneAnew(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	opts := b.options("student", true)
	opts.OnProgress = func(p Progress) {
		if p.Stage == StageGate {
			cancel()
		}
	}
	out, err := Finetune(ctx, b.Deps, opts)
	var hinted interface{ Hint() string }
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrInterrupted) || b.open != 0 {
		t.Fatalf("error %v, %d models left open", err, b.open)
	}
	if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "runs resume "+out.Run) {
		t.Errorf("%v does not say how to go on", err)
	}
	if out, err = Resume(t.Context(), b.Deps, out.Run, nil); err != nil || !out.Promoted {
		t.Errorf("outcome %+v, %v", out, err)
	}
}

func TestFinetune_refusesBeforeTraining(t *testing.T) {
	broken := errors.New("engine is missing")
	for name, tc := range map[string]struct {
		spoil func(*bench, *Options)
		want  error // nil: any
	}{
		"unknown base": {func(_ *bench, o *Options) { o.Base = "nothing" }, models.ErrNotFound},
		"name taken":   {func(_ *bench, o *Options) { o.ID = "base" }, models.ErrExists},
		"bad name":     {func(_ *bench, o *Options) { o.ID = "../x" }, models.ErrInvalidID},
		"no engine": {func(b *bench, _ *Options) {
			b.Load = func(context.Context, string) (llm.Model, func() error, error) { return nil, nil, broken }
		}, broken},
		"no tokenizer": {func(b *bench, _ *Options) {
			b.Load = func(context.Context, string) (llm.Model, func() error, error) {
				return &solves("m", nil).Script, func() error { return nil }, nil
			}
		}, llm.ErrUnsupported},
		"no examples": {func(_ *bench, o *Options) { o.Examples = sequence() }, nil},
		"held out": {func(_ *bench, o *Options) {
			ex := example("sha256:03", "number 300", "300")
			ex.Split = dataset.SplitHeldOut
			o.Examples = sequence(ex)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			opts := b.options("student", true)
			tc.spoil(b, &opts)
			_, err := Finetune(t.Context(), b.Deps, opts)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if runs, err := ListRuns(b.RunsDir); err != nil || len(runs) > 0 || b.open != 0 {
				t.Errorf("%d runs, %v; %d models left open", len(runs), err, b.open)
			}
		})
	}
}

func TestFinetune_endsWhenPrepared(t *testing.T) {
	b := newBench(t)
	opts := b.options("student", true)
	enough := errors.New("enough")
	opts.OnPrepared = func() error {
		if runs, err := ListRuns(b.RunsDir); err != nil || len(runs) != 1 || status(t, runs[0]) != StatusPrepared {
			t.Errorf("%d runs, %v, want the one that is prepared", len(runs), err)
		}
		return enough
	}
	if _, err := Finetune(t.Context(), b.Deps, opts); !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
	if runs, err := ListRuns(b.RunsDir); err != nil || len(runs) > 0 {
		t.Errorf("%d runs are left, %v", len(runs), err)
	}
}

func TestResume_refuses(t *testing.T) {
	b := newBench(t)
	if _, err := Resume(t.Context(), b.Deps, "nothing", nil); !errors.Is(err, ErrNoRun) {
		t.Errorf("unknown run: %v", err)
	}
	spec := testSpec()
	if _, err := Prepare(t.Context(), b.RunsDir, spec); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), b.Deps, spec.Job.ID, nil); err == nil || !strings.Contains(err.Error(), "plan.json") {
		t.Errorf("run without a plan: %v", err)
	}
}

func TestFreeRunID(t *testing.T) {
	d := Deps{RunsDir: t.TempDir()}
	for _, want := range []string{"20260101-000000-a", "20260101-000000-a-2", "20260101-000000-a-3"} {
		got := d.freeRunID("20260101-000000-a")
		if got != want {
			t.Errorf("run is %q, want %q", got, want)
		}
		if err := os.Mkdir(filepath.Join(d.RunsDir, got), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
