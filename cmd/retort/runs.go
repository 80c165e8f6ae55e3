package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"retort/trainer"
)

func (p *program) runsCommand() *cli.Command {
	return group("runs", "list, resume and cancel training runs",
		p.verb(&cli.Command{Name: "list", Usage: "print the runs, oldest first"}, runRunsList),
		p.verb(&cli.Command{Name: "show", Usage: "print all that is known of a run", ArgsUsage: "ID"}, runRunsShow),
		p.verb(&cli.Command{Name: "resume", Usage: "go on with an interrupted run", ArgsUsage: "ID"}, runRunsResume),
		p.verb(&cli.Command{Name: "cancel", Usage: "interrupt a run that is going on elsewhere", ArgsUsage: "ID"}, runRunsCancel),
	)
}

type runView struct {
	ID        string          `json:"id"`
	Dir       string          `json:"dir"`
	Status    trainer.Status  `json:"status"`
	Base      string          `json:"base"`
	Examples  int             `json:"examples"`
	Forgotten int             `json:"forgotten,omitempty"` // examples that it was made of besides
	Attempts  int             `json:"attempts"`
	CreatedAt time.Time       `json:"created_at"`
	Error     string          `json:"error,omitempty"`
	Job       trainer.Job     `json:"job"`
	Result    *trainer.Result `json:"result,omitempty"`
}

func viewOf(run *trainer.Run) (runView, error) {
	st, err := run.State()
	v := runView{ID: run.ID, Dir: run.Dir, Status: st.Status, Base: run.Job.Base.ID, Examples: len(run.Data.Examples), Forgotten: run.Data.Forgotten,
		Attempts: st.Attempts, CreatedAt: st.CreatedAt, Error: st.Error, Job: run.Job}
	if err == nil && st.Status == trainer.StatusComplete {
		res, err := run.Result()
		if err != nil {
			return v, err
		}
		v.Result = &res
	}
	return v, err
}

func runRunsList(_ context.Context, _ *cli.Context, r *retort) error {
	runs, damaged := trainer.ListRuns(r.path("runs"))
	views := []runView{}
	rows := [][]string{{"ID", "STATUS", "BASE", "EXAMPLES", "CREATED"}}
	for _, run := range runs {
		v, err := viewOf(run)
		if err != nil {
			damaged = errors.Join(damaged, err)
			continue
		}
		views = append(views, v)
		rows = append(rows, []string{v.ID, string(v.Status), v.Base, fmt.Sprint(v.Examples), v.CreatedAt.Format(time.DateTime)})
	}
	if len(views) == 0 {
		r.printf("No runs. `retort finetune` makes one.\n")
	} else {
		r.table(rows)
	}
	if err := r.object(views); err != nil {
		return err
	}
	return damaged
}

func (r *retort) run(c *cli.Context) (*trainer.Run, error) {
	if c.NArg() != 1 {
		return nil, usage("runs %s wants one ID", c.Command.Name).hint("`retort runs list` shows them")
	}
	return trainer.OpenRun(r.path("runs"), c.Args().First())
}

func runRunsShow(_ context.Context, c *cli.Context, r *retort) error {
	run, err := r.run(c)
	if err != nil {
		return err
	}
	v, err := viewOf(run)
	if err != nil {
		return err
	}
	r.printf("%s: %s\n  base %s, %d examples, rank %d, %d epochs\n  %s\n", v.ID, v.Status, v.Base, v.Examples,
		v.Job.LoRA.Rank, v.Job.Train.Epochs, v.Dir)
	if v.Forgotten > 0 {
		r.printf("  %d more examples were forgotten: it is trained no more\n", v.Forgotten)
	}
	if v.Error != "" {
		r.printf("  %s\n", v.Error)
	}
	if v.Result != nil {
		r.printf("  loss %.3f after %d steps (%.3f at first)\n", v.Result.Loss, v.Result.Steps, v.Result.LossFirst)
	}
	return r.object(v)
}

func runRunsResume(ctx context.Context, c *cli.Context, r *retort) error {
	run, err := r.run(c)
	if err != nil {
		return err
	}
	deps, err := r.trainerDeps()
	if err != nil {
		return err
	}
	show := &trainingProgress{out: r.output}
	out, err := trainer.Resume(ctx, deps, run.ID, show.hear)
	show.end(err)
	if err != nil {
		return err
	}
	r.printOutcome(out)
	return r.object(out)
}

func runRunsCancel(_ context.Context, c *cli.Context, r *retort) error {
	run, err := r.run(c)
	if err != nil {
		return err
	}
	if err := run.Cancel(); err != nil {
		return err
	}
	r.printf("Asked %s to stop; it saves a checkpoint first\n", run.ID)
	return r.object(map[string]string{"cancelled": run.ID})
}
