package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"retort/llm"
)

// errBudgetUsed: the next question could cost more than what is left.
var errBudgetUsed = errors.New("the budget is used up")

// maxFailures is how many questions in a row may fail before the others are
// spared the same.
const maxFailures = 5

// interruptGrace is how long an interrupted run waits for answers that cost
// something and are on their way.
const interruptGrace = 20 * time.Second

// asker asks many questions, several at once, and keeps account of them. All its
// decisions and its ledger belong to the goroutine that calls run.
type asker struct {
	ledger   *ledger
	limit    float64 // US dollars that all runs of this ledger may cost together
	parallel int
	step     string // stepAsk or stepExpand

	most  func(task) float64                     // US dollars that a question can cost at most
	ask   func(context.Context, task) taskAnswer // called from several goroutines
	told  func(taskAnswer)                       // after each one is booked
	grace time.Duration                          // interruptGrace, but for tests

	failures int // in a row
}

// taskAnswer is what became of one question.
type taskAnswer struct {
	task  task
	entry ledgerLine // as it is to be booked, but for Step and Task
	open  bool       // it was cut off: what it cost is not known, so what was set aside stays so
	err   error      // why it failed
	fatal error      // why no other must be asked
}

// run asks tasks in their order. It returns when all are answered, or, once those
// on their way have been booked, an error that says why no more were asked: ctx's,
// errBudgetUsed, that of the ledger, or what all failed with.
func (a *asker) run(ctx context.Context, tasks []task) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var (
		answers     = make(chan taskAnswer)
		inFlight    = 0
		stop        error
		interrupted = ctx.Done()
		grace       <-chan time.Time
	)
	for {
		for stop == nil && ctx.Err() == nil && inFlight < a.parallel && len(tasks) > 0 {
			sent, err := a.begin(work, tasks[0], answers)
			if stop = err; !sent {
				break
			}
			tasks = tasks[1:]
			inFlight++
		}
		switch {
		case inFlight > 0:
		case stop == nil && ctx.Err() != nil:
			return ctx.Err()
		case stop == nil && len(tasks) > 0: // even with nothing else on its way
			return errBudgetUsed
		default:
			return stop
		}
		select {
		case t := <-answers:
			inFlight--
			if err := a.book(t); stop == nil {
				stop = err
			}
		case <-interrupted:
			interrupted = nil
			if a.ledger.reserved() == 0 {
				cancel()
			} else {
				grace = time.After(a.grace)
			}
		case <-grace:
			cancel()
		}
	}
}

// begin sends a question if the budget allows, once that is noted.
func (a *asker) begin(ctx context.Context, t task, answers chan<- taskAnswer) (sent bool, err error) {
	most := a.most(t)
	if !a.ledger.fits(most, a.limit) {
		return false, nil
	}
	if err := a.ledger.asking(a.step, t.Digest, most); err != nil {
		return false, err
	}
	go func() { answers <- a.ask(ctx, t) }()
	return true, nil
}

// book notes an answer, and returns an error if no more are to be asked.
func (a *asker) book(t taskAnswer) error {
	if t.open {
		return t.fatal
	}
	t.entry.Step, t.entry.Task = a.step, t.task.Digest
	err := a.ledger.done(t.entry)
	if err == nil {
		a.told(t)
	}
	switch {
	case t.fatal != nil:
		return errors.Join(t.fatal, err)
	case err != nil:
		return err
	case t.err == nil:
		a.failures = 0
		return nil
	case isFaultOfTask(t.err):
		return nil
	}
	if a.failures++; a.failures < maxFailures {
		return nil
	}
	return fmt.Errorf("%d questions in a row failed, the last: %w", a.failures, t.err)
}

// isFaultOfTask reports whether err says something of a question alone, and not of
// those who were asked.
func isFaultOfTask(err error) bool {
	return errors.Is(err, llm.ErrContextOverflow) || errors.Is(err, llm.ErrBadRequest)
}
