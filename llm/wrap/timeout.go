package wrap

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"retort/llm"
)

// Timeouts bound the phases of an answer; 0 leaves one unbounded. The time that
// the caller takes for an event counts in Total alone.
type Timeouts struct {
	First   time.Duration // until the first event: sending, queueing, reading the prompt
	Between time.Duration // from one event to the next
	Total   time.Duration
}

// TimeoutError says which phase of an answer took too long.
type TimeoutError struct {
	Phase string // "first event", "next event" or "whole answer"
	Limit time.Duration
	begun bool // some of the answer had come
}

func (e *TimeoutError) Error() string { return fmt.Sprintf("no %s within %v", e.Phase, e.Limit) }

// Timeout implements net.Error's method of that name.
func (e *TimeoutError) Timeout() bool { return true }

// Retryable says whether the same request may succeed later.
func (e *TimeoutError) Retryable() (time.Duration, bool) { return 0, e.Phase == "first event" }

// Unwrap returns llm.ErrIncomplete if some of the answer had come.
func (e *TimeoutError) Unwrap() error {
	if e.begun {
		return llm.ErrIncomplete
	}
	return nil
}

// Timeout returns m with its answers bounded by t. One that takes longer ends in a
// *TimeoutError.
func Timeout(m llm.Model, t Timeouts) llm.Model { return timed{inner{m}, t} }

type timed struct {
	inner
	Timeouts
}

func (w timed) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		outer := ctx
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		begun := false
		stopTotal := after(w.Total, func() { cancel(&TimeoutError{"whole answer", w.Total, false}) })
		defer stopTotal()
		stop := after(w.First, func() { cancel(&TimeoutError{"first event", w.First, false}) })
		defer func() { stop() }()
		for ev, err := range w.model.Generate(ctx, req) {
			stop()
			if err != nil {
				yield(nil, w.named(outer, ctx, begun, err))
				return
			}
			begun = true
			if !yield(ev, nil) {
				return
			}
			stop = after(w.Between, func() { cancel(&TimeoutError{"next event", w.Between, true}) })
		}
	}
}

// named says that it was a limit of ours that ended the answer, if it was.
func (w timed) named(outer, ctx context.Context, begun bool, err error) error {
	var e *TimeoutError
	if outer.Err() != nil || !errors.As(context.Cause(ctx), &e) {
		return err
	}
	return fmt.Errorf("generate %q: %w", w.ID(), &TimeoutError{e.Phase, e.Limit, begun})
}

// after calls f after d unless stopped; never if d is 0.
func after(d time.Duration, f func()) (stop func()) {
	if d <= 0 {
		return func() {}
	}
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}
