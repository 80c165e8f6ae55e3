package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/internal/files"
	"retort/llm"
)

// open makes everything ready for asking: it reads the tasks, takes the run's lock
// and opens members, store and ledger. A run is only made once all else is well.
func (d *distill) open(ctx context.Context, c *cli.Context) (lock *os.File, err error) {
	root := d.path("distill")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	if err := d.choose(c, root); err != nil {
		return nil, err
	}
	digest := digestOfTasks(d.list.tasks)
	lock, err = files.TryLock(filepath.Join(root, shortID(digest)+".lock"))
	if errors.Is(err, files.ErrLocked) {
		err = withHint(fmt.Errorf("%w: another process asks these tasks", dataset.ErrBusy), "wait for it to end")
	}
	if err != nil {
		return nil, err
	}
	if d.resumed && digest != d.job.Digest {
		return lock, usage("the tasks in %q are not those of run %s", c.String("tasks"), d.job.ID).
			hint("without --resume a new run asks what the store has no answer to")
	}
	if err := d.openModels(ctx, c); err != nil {
		return lock, err
	}
	if _, err := d.store(); err != nil {
		return lock, err
	}
	if err := d.save(ctx, root, digest); err != nil {
		return lock, fmt.Errorf("write the run's folder: %w", err)
	}
	if d.ledger, err = openLedger(filepath.Join(d.dir, spentFile)); err != nil {
		return lock, err
	}
	if d.job.Settings.Expand > 0 {
		d.varied, err = openVariations(d.dir, d.bestMember(), d.job.Settings.Expand, d.list.tasks)
	}
	return lock, err
}

// choose finds the run to go on with, or begins another, and reads its tasks.
func (d *distill) choose(c *cli.Context, root string) error {
	file := c.String("tasks")
	d.job = distillJob{File: file, Settings: distillSettingsOf(c)}
	if file != "-" {
		path, err := filepath.Abs(file)
		if err != nil {
			return err
		}
		d.job.File = path
	}
	if c.Bool("resume") {
		runs, damaged := savedRuns(root)
		if damaged != nil {
			d.note("left aside: %s", oneLine(damaged))
		}
		if run, ok := lastRun(runs, d.job.File); ok {
			if diff := run.job.differs(d.job.Settings, c.IsSet); diff != "" {
				return usage("%s", diff).hint("leave the flag out, or start a new run without --resume")
			}
			d.resumed, d.dir, d.job = true, run.dir, run.job
		} else {
			d.note("no run over %q yet: this is the first", file)
		}
	}
	if c.IsSet("budget") {
		d.job.Budget = new(c.Float64("budget"))
	}
	return d.read(c.Context, file)
}

func (d *distill) read(ctx context.Context, file string) error {
	in, _, err := openInput(ctx, file, d.p.stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	plain := task{TaskType: d.job.Settings.TaskType}
	if s := d.job.Settings.System; s != "" {
		plain.Messages = []llm.Message{llm.System(s)}
	}
	if d.list, err = readTasks(in, file, plain); err != nil {
		return err
	}
	switch {
	case len(d.list.tasks) > 0:
		return nil
	case len(d.list.bad) > 0:
		return usage("none of the %d lines of %q can be used: line %d: %s", len(d.list.bad), file, d.list.bad[0].Line, d.list.bad[0].Reason)
	}
	return usage("%q holds no question", file)
}

// save makes the folder of a new run, or notes a new budget.
func (d *distill) save(ctx context.Context, root, digest string) error {
	if d.resumed {
		return writeJSON(filepath.Join(d.dir, jobFile), d.job)
	}
	copied, err := d.copying(ctx) // a forgetting takes the questions out of a folder that is no run yet
	if err != nil {
		return err
	}
	defer copied()
	now := time.Now()
	if d.job.ID, err = newRunDir(root, d.job.File, now); err != nil {
		return err
	}
	d.dir = filepath.Join(root, d.job.ID)
	d.job.CreatedAt, d.job.Tasks, d.job.Digest = now.UTC(), len(d.list.tasks), digest
	if err := writeLines(filepath.Join(d.dir, tasksFile), d.list.tasks); err != nil {
		return err
	}
	if len(d.list.bad) > 0 {
		if err := writeLines(filepath.Join(d.dir, badFile), d.list.bad); err != nil {
			return err
		}
	}
	return writeJSON(filepath.Join(d.dir, jobFile), d.job) // last: it makes the folder a run
}
