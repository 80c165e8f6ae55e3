package trainer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"retort/models"
)

// finish takes run from wherever it stands to a registered and tested model.
// Every step finds out by itself whether it was done before.
func (d Deps) finish(ctx context.Context, run *Run, report func(Progress)) (Outcome, error) {
	out := Outcome{Run: run.ID, Examples: len(run.Data.Examples), Dropped: len(run.Data.Dropped)}
	fail := func(err error) (Outcome, error) {
		if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
			return out, &interruptedError{run: run.ID, step: out.Result.Steps, cause: cause}
		}
		return out, fmt.Errorf("run %q: %w", run.ID, err)
	}
	plan, err := run.readPlan()
	if err != nil {
		return fail(err)
	}
	base, err := d.Models.Get(run.Job.Base.ID)
	if err != nil {
		return fail(err)
	}
	if base.Digest != run.Job.Base.Digest {
		return fail(fmt.Errorf("base %q is no longer the file it was made for", base.ID))
	}
	if out.Result, err = run.Train(ctx, d.Exec, report); err != nil {
		return out, err // it names the run itself
	}
	model, err := d.Models.AddAdapter(ctx, models.AdapterSpec{
		ID: plan.Model, Parent: base.ID, File: run.AdapterPath(out.Result),
		Rank: out.Result.Rank, Alpha: out.Result.Alpha,
		Run: run.ID, TaskType: plan.TaskType, Template: plan.Template,
	})
	if err != nil {
		return fail(err)
	}
	out.Model = model.ID
	if err := d.markForgotten(run); err != nil {
		return fail(err)
	}
	if model.Gate != nil {
		out.Gate = *model.Gate
	} else if err := d.gate(ctx, run, plan, &out, report); err != nil {
		return fail(err)
	}
	if plan.Promote && out.Gate.Passed {
		if err := d.Models.Use(model.ID); err != nil {
			return fail(err)
		}
		out.Promoted = true
	}
	return out, nil
}

// markForgotten marks run's model if examples were forgotten while it was entered.
func (d Deps) markForgotten(run *Run) error {
	err := run.checkForgotten()
	if !errors.Is(err, ErrForgotten) {
		return err
	}
	_, err = d.Models.MarkStale(models.Stale{Why: err.Error(), At: now()}, run.ID)
	return err
}

// gate tests the new model against the one it would replace and records what
// came of it.
func (d Deps) gate(ctx context.Context, run *Run, plan plan, out *Outcome, report func(Progress)) error {
	against, err := d.reference(run, plan)
	if err != nil {
		return err
	}
	items, err := run.heldOut()
	if err != nil {
		return err
	}
	out.Gate = models.Gate{Against: against, PValue: 1, Reason: "not decided: there are no held-out items"}
	if len(items) > 0 {
		report(Progress{Event: EventStage, Stage: StageGate})
		opts := EvalOptions{MaxOutputTokens: plan.MaxOutputTokens}
		if out.Candidate, err = d.evaluate(ctx, out.Model, items, opts, gateProgress(report, 0)); err != nil {
			return err
		}
		if out.Reference, err = d.evaluate(ctx, against, items, opts, gateProgress(report, 1)); err != nil {
			return err
		}
		if out.Gate, err = Compare(*out.Candidate, *out.Reference, plan.Gate); err != nil {
			return err
		}
	}
	return d.Models.SetGate(out.Model, out.Gate)
}

// reference returns the ID of the model that run's would replace.
func (d Deps) reference(run *Run, plan plan) (string, error) {
	if plan.Against != "" {
		return plan.Against, nil
	}
	current, err := d.Models.Current()
	if errors.Is(err, models.ErrNotFound) {
		return run.Job.Base.ID, nil
	}
	return current.ID, err
}

// evaluate loads the model named id, asks it the items and lets go of it.
func (d Deps) evaluate(ctx context.Context, id string, items []Item, opts EvalOptions, onItem func(done, total int)) (*Report, error) {
	model, release, err := d.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	opts.OnItem = onItem
	rep, err := Evaluate(ctx, model, items, opts)
	if releaseErr := release(); err == nil {
		err = releaseErr
	}
	if err != nil {
		return nil, err
	}
	rep.Model = id // the registry's name, not the engine's
	return &rep, nil
}

// gateProgress reports items as steps; turn is 0 for the first model, 1 for the
// second.
func gateProgress(report func(Progress), turn int) func(done, total int) {
	return func(done, total int) {
		report(Progress{Event: EventStep, Stage: StageGate, Step: turn*total + done, Steps: 2 * total})
	}
}

// heldOut returns the items that r's model is to be tested on.
func (r *Run) heldOut() ([]Item, error) {
	f, err := os.Open(r.path(heldOutFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	items, err := ReadItems(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", heldOutFile, err)
	}
	return items, nil
}
