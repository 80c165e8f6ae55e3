package trainer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"retort/dataset"
	"retort/llm"
	"retort/models"
)

// Loader opens the model of the registry named id. The function it returns
// releases what the model holds.
type Loader func(ctx context.Context, id string) (llm.Model, func() error, error)

// Deps are the parts that a fine-tuning works with.
type Deps struct {
	Models   *models.Registry
	Load     Loader // of the engine that will serve the result, so that the gate tests what will be used
	Exec     Exec
	RunsDir  string // where runs are kept
	CacheDir string // where unpacked bases are kept, by digest
}

// Options say what to learn and what to call the result.
type Options struct {
	Base     string                            // registry ID of the model to start from; no adapter
	ID       string                            // the new model's
	TaskType string                            // what it is for
	Examples iter.Seq2[dataset.Example, error] // what to learn
	HeldOut  []Item                            // what the gate asks; none of it in Examples

	Profile         Profile // "" means DetectProfile
	Hyper           Hyper   // zero means DefaultHyper of the profile
	Threads         int     // 0 means one for each CPU
	Gate            GateOptions
	Against         string // model that the gate compares with; "" means the one in use, or Base where none is
	MaxOutputTokens int    // of an answer in the gate; see EvalOptions
	Promote         bool   // put the model in use if it passes
	Selection       any    // how Examples were chosen: kept with the run as JSON; nil if not known
	OnProgress      func(Progress)

	// OnPrepared is called once the run is on disk, where those that forget find it,
	// and before it is trained. Its error ends all and takes the run away. It may be nil.
	OnPrepared func() error
}

// Outcome is what a fine-tuning came to.
type Outcome struct {
	Run       string      `json:"run"`
	Model     string      `json:"model"`
	Examples  int         `json:"examples"` // trained on
	Dropped   int         `json:"dropped"`  // left out because too long; the run's Data names them
	Gate      models.Gate `json:"gate"`
	Promoted  bool        `json:"promoted"`
	Result    Result      `json:"result"`
	Candidate *Report     `json:"candidate,omitempty"` // how the new model did; nil if the gate was not asked again
	Reference *Report     `json:"reference,omitempty"` // how the one did that it would replace
}

// plan is what is to happen with a run's result: the content of plan.json. With
// it a run directory holds all that Resume needs.
type plan struct {
	Model           string      `json:"model"`
	TaskType        string      `json:"task_type"`
	Template        string      `json:"template,omitempty"`
	Gate            GateOptions `json:"gate"`
	Against         string      `json:"against,omitempty"`
	MaxOutputTokens int         `json:"max_output_tokens,omitempty"`
	Promote         bool        `json:"promote"`
}

// Finetune trains an adapter for opts.Base on opts.Examples, enters it in the
// registry as opts.ID, and tests it on opts.HeldOut against opts.Against. If it is interrupted, the error wraps
// ErrInterrupted, Outcome.Run names the run, and Resume goes on with it.
//
// That a model did not pass its gate is not an error: the Outcome says so, and
// the model in use stays.
func Finetune(ctx context.Context, d Deps, opts Options) (Outcome, error) {
	report := opts.OnProgress
	if report == nil {
		report = func(Progress) {}
	}
	run, err := d.prepare(ctx, opts, report)
	if err == nil && opts.OnPrepared != nil {
		if err = opts.OnPrepared(); err != nil {
			err = errors.Join(err, os.RemoveAll(run.Dir))
		}
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("fine-tune %q: %w", opts.Base, err)
	}
	return d.finish(ctx, run, report)
}

// Resume takes the run named id, made by Finetune, to the end that Finetune
// would have taken it to. What is done already is not done again.
func Resume(ctx context.Context, d Deps, id string, onProgress func(Progress)) (Outcome, error) {
	run, err := OpenRun(d.RunsDir, id)
	if err != nil {
		return Outcome{}, fmt.Errorf("resume: %w", err)
	}
	if onProgress == nil {
		onProgress = func(Progress) {}
	}
	return d.finish(ctx, run, onProgress)
}

// prepare makes the run, after looking for whatever would only show itself at
// the end of a long training.
func (d Deps) prepare(ctx context.Context, opts Options, report func(Progress)) (*Run, error) {
	base, err := d.Models.Get(opts.Base)
	if err != nil {
		return nil, err
	}
	if base.Kind == models.KindAdapter {
		return nil, fmt.Errorf("it is an adapter of %q: merge it first, or start from %q", base.Parent, base.Parent)
	}
	if !models.ValidID(opts.ID) {
		return nil, fmt.Errorf("model %q: %w", opts.ID, models.ErrInvalidID)
	}
	if _, err := d.Models.Get(opts.ID); err == nil {
		return nil, fmt.Errorf("model %q: %w", opts.ID, models.ErrExists)
	} else if !errors.Is(err, models.ErrNotFound) {
		return nil, err
	}
	report(Progress{Event: EventStage, Stage: StagePrepare})
	model, release, err := d.Load(ctx, base.ID)
	if err != nil {
		return nil, err
	}
	spec := Spec{Job: d.job(base, opts), Examples: opts.Examples, HeldOut: opts.HeldOut, Selection: opts.Selection}
	run, err := prepareWith(ctx, d.RunsDir, model, spec, &plan{
		Model: opts.ID, TaskType: opts.TaskType, Template: base.Template,
		Gate: opts.Gate.withDefaults(), Against: opts.Against, MaxOutputTokens: opts.MaxOutputTokens, Promote: opts.Promote,
	})
	// The engine's memory is needed for the training.
	if closeErr := release(); err == nil && closeErr != nil {
		return nil, fmt.Errorf("release %q: %w", base.ID, closeErr)
	}
	return run, err
}

// prepareWith is prepare with model's own tokenizer.
func prepareWith(ctx context.Context, dir string, model llm.Model, spec Spec, plan *plan) (*Run, error) {
	tok, ok := llm.As[llm.Tokenizer](model)
	if !ok {
		return nil, fmt.Errorf("%q does not show its tokens: %w", model.ID(), llm.ErrUnsupported)
	}
	spec.Tokenizer = tok
	return prepare(ctx, dir, spec, plan)
}

func (d Deps) job(base models.Manifest, opts Options) Job {
	return Job{
		ID: d.freeRunID(time.Now().UTC().Format("20060102-150405-") + opts.ID),
		Base: Base{
			ID: base.ID, GGUF: d.Models.Path(base), Digest: base.Digest, Architecture: base.Architecture,
		},
		HFBase:       absolute(filepath.Join(d.CacheDir, strings.ReplaceAll(base.Digest, ":", "-"))),
		ChatTemplate: jinja(base.Template),
		Hyper:        opts.Hyper,
		Profile:      opts.Profile,
		Threads:      opts.Threads,
	}
}

// freeRunID is id, or with a number behind it where that second has such a run.
func (d Deps) freeRunID(id string) string {
	free := id
	for n := 2; ; n++ {
		if _, err := os.Lstat(filepath.Join(d.RunsDir, free)); err != nil {
			return free
		}
		free = fmt.Sprintf("%s-%d", id, n)
	}
}

// jinja returns template if it is one, and not the name of one that only the
// engine knows.
func jinja(template string) string {
	if strings.Contains(template, "{") {
		return template
	}
	return ""
}

// readPlan returns what is to happen with r's result.
func (r *Run) readPlan() (plan, error) {
	var p plan
	err := r.readJSON(planFile, &p)
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("it has no plan.json, so train it with its run.sh")
	}
	return p, err
}
