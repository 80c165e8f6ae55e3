package wrap

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"retort/llm"
)

// Hedge returns m with a second request for one that has no first event after so
// long: the answer that begins first is given, and the other one is cancelled.
// Both may have to be paid for, and the cost of the one that was cancelled is not
// known: the answer has a warning. Budget bounds these requests as it does those
// of Retry; nil sets no bound. With a time of 0, m is returned.
func Hedge(m llm.Model, after time.Duration, budget *Budget) llm.Model {
	if after <= 0 {
		return m
	}
	return &hedged{inner{m}, after, budget}
}

type hedged struct {
	inner
	after  time.Duration
	budget *Budget
}

// result is what a model yields.
type result struct {
	event llm.Event
	err   error
}

// attempt is one of the requests. Its results end with a closed channel.
type attempt struct {
	results chan result
	first   []result // what was read of them already
	stop    func()   // cancels it; its results are not wanted any more
}

// read takes the first result, and says whether the answer begins with it.
func (a *attempt) read(r result, ok bool) bool {
	if ok {
		a.first = append(a.first, r)
	}
	return ok && r.err == nil
}

// all yields the results.
func (a *attempt) all(yield func(result) bool) {
	for _, r := range a.first {
		if !yield(r) {
			return
		}
	}
	for r := range a.results {
		if !yield(r) {
			return
		}
	}
}

func (w *hedged) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		var running sync.WaitGroup
		defer running.Wait()
		given, twice := w.race(ctx, req, &running)
		defer given.stop()
		for r := range given.all {
			if d, ok := r.event.(llm.Done); ok && twice {
				r.event = w.warned(d)
			}
			if !yield(r.event, r.err) {
				return
			}
		}
	}
}

func (w *hedged) warned(d llm.Done) llm.Done {
	d.Warnings = append(d.Warnings[:len(d.Warnings):len(d.Warnings)],
		fmt.Sprintf("cost: nothing came within %v, so it was asked twice; what the other request cost is not counted", w.after))
	return d
}

// race returns the request that is first to answer, or the last one to fail, and
// whether there were two. The other one is stopped.
func (w *hedged) race(ctx context.Context, req llm.Request, running *sync.WaitGroup) (given *attempt, twice bool) {
	one := w.ask(ctx, req, running)
	late := time.NewTimer(w.after)
	defer late.Stop()
	select {
	case r, ok := <-one.results:
		one.read(r, ok)
		return one, false
	case <-late.C:
	}
	if !w.budget.spend() {
		return one, false
	}
	two := w.ask(ctx, req, running)
	var answers bool
	select {
	case r, ok := <-one.results:
		answers = one.read(r, ok)
	case r, ok := <-two.results:
		one, two = two, one
		answers = one.read(r, ok)
	}
	if !answers {
		one, two = two, one
	}
	two.stop()
	return one, true
}

// ask begins a request.
func (w *hedged) ask(ctx context.Context, req llm.Request, running *sync.WaitGroup) *attempt {
	ctx, cancel := context.WithCancel(ctx)
	a := &attempt{results: make(chan result)}
	unwanted := make(chan struct{})
	a.stop = func() {
		cancel()
		close(unwanted)
	}
	running.Go(func() {
		defer close(a.results)
		for ev, err := range w.model.Generate(ctx, req) {
			select {
			case a.results <- result{ev, err}:
			case <-unwanted:
				return
			}
		}
	})
	return a
}
