package main

import (
	"context"
	"fmt"
	"time"

	"retort/dataset"
)

// work asks what is to be asked. Its error says why something is left.
func (d *distill) work(ctx context.Context) error {
	if err := d.askTasks(ctx, "Asking", d.list.tasks); err != nil || d.varied == nil {
		return err
	}
	var seeds, more []task
	for _, t := range d.list.tasks {
		if _, done := d.varied.seeds[t.Digest]; !done {
			seeds = append(seeds, t)
		}
	}
	if err := d.each(ctx, "Writing variations", stepExpand, seeds, d.varied.most, d.varied.write); err != nil {
		return err
	}
	for _, t := range d.list.tasks {
		more = append(more, d.varied.tasksOf(t)...)
	}
	return d.askTasks(ctx, "Asking variations", more)
}

// askTasks asks those of tasks that have no answer yet.
func (d *distill) askTasks(ctx context.Context, title string, tasks []task) error {
	if err := d.findAnswered(ctx, tasks); err != nil {
		return err
	}
	var open []task
	for _, t := range tasks {
		if !d.isAnswered(t) {
			open = append(open, t)
		}
	}
	most := func(t task) float64 { return mostOf(d.members, t.Messages, d.job.Settings.MaxTokens) }
	return d.each(ctx, title, stepAsk, open, most, d.ask)
}

func (d *distill) isAnswered(t task) bool {
	_, done := d.ledger.answered(stepAsk, t.Digest)
	_, held := d.already[t.Digest]
	return done || held
}

// findAnswered marks what the store has an answer to, and the run does not know of:
// from before, or from a moment before the process was ended.
func (d *distill) findAnswered(ctx context.Context, tasks []task) error {
	wanted := map[string]bool{}
	for _, t := range tasks {
		if !d.isAnswered(t) {
			wanted[t.Digest] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	store, err := d.store()
	if err != nil {
		return err
	}
	var f dataset.Filter
	if d.job.Settings.Again { // this run's alone count
		f.Kind = "distill"
	}
	for ex, err := range store.All(ctx, f) {
		if err != nil {
			return err
		}
		ours := ex.Source.Kind == "distill" && ex.Source.Name == d.job.ID
		if d.job.Settings.Again && !ours {
			continue
		}
		if digest := taskDigest(ex.Messages); wanted[digest] {
			d.already[digest] = ours || d.already[digest]
		}
	}
	return nil
}

// each has ask work on all tasks, with a bar.
func (d *distill) each(ctx context.Context, title, step string, tasks []task, most func(task) float64, ask func(context.Context, task) taskAnswer) (err error) {
	if len(tasks) == 0 {
		return ctx.Err()
	}
	bar := d.bar(fmt.Sprintf("%s (%d)", title, len(tasks)), int64(len(tasks)), "q")
	start, kept, told := time.Now(), 0, ""
	defer func() {
		if err == nil {
			bar.done(told)
		}
		bar.abort()
	}()
	a := asker{ledger: d.ledger, limit: d.limit, parallel: d.parallel, step: step, most: most, ask: ask, grace: interruptGrace}
	a.told = func(t taskAnswer) {
		told = fmt.Sprintf("$%.4f, %.0f/min", d.ledger.spent+d.ledger.lost, float64(bar.at+1)/time.Since(start).Minutes())
		if t.entry.Result == resultKept {
			kept++
		}
		if step == stepAsk {
			told = fmt.Sprintf("%d kept, %s", kept, told)
		}
		bar.tell(": " + told)
		bar.add(1)
	}
	return a.run(ctx, tasks)
}
