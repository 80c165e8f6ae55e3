package wrap

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"retort/llm"
)

// BreakerOptions say when a model is down. The zero value is a sensible one.
type BreakerOptions struct {
	Failures uint          // in a row until it is left alone; 0 means 5
	Pause    time.Duration // until one request may try again; 0 means 30 s
}

// OpenError says that a model was not asked, since it failed too often just now.
type OpenError struct {
	Model string
	Wait  time.Duration // until it may be asked again
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("generate %q: it failed too often; left alone for %v more", e.Model, e.Wait.Round(time.Millisecond))
}

// Hint returns one sentence on what the user can do.
func (e *OpenError) Hint() string { return "wait, or ask other models with --members" }

// Breaker returns m with a circuit breaker: after some failures in a row, requests
// fail at once with an *OpenError, until a pause is over and one that is let
// through succeeds. A failure is what another try could mend, and an answer that
// breaks off; that a request was refused or cancelled says nothing of the model.
func Breaker(m llm.Model, o BreakerOptions) llm.Model {
	if o.Failures == 0 {
		o.Failures = 5
	}
	if o.Pause == 0 {
		o.Pause = 30 * time.Second
	}
	return &guarded{inner{m}, circuitbreaker.NewBuilder[any]().WithFailureThreshold(o.Failures).WithSuccessThreshold(1).WithDelay(o.Pause).Build()}
}

type guarded struct {
	inner
	circuit circuitbreaker.CircuitBreaker[any]
}

func (w *guarded) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		if !w.circuit.TryAcquirePermit() {
			yield(nil, &OpenError{w.ID(), w.circuit.RemainingDelay()})
			return
		}
		var failure error
		answered := false
		defer func() { w.record(ctx, answered, failure) }()
		for ev, err := range w.model.Generate(ctx, req) {
			failure, answered = err, answered || err == nil
			if !yield(ev, err) {
				return
			}
		}
	}
}

// record gives the permit back with what was learnt. A trial that taught nothing
// counts as failed: the circuit has no other way to let the next one through.
func (w *guarded) record(ctx context.Context, answered bool, err error) {
	_, temporary := retryable(err)
	switch {
	case err != nil && ctx.Err() == nil && (temporary || errors.Is(err, llm.ErrIncomplete)):
		w.circuit.RecordFailure()
	case answered || err != nil && ctx.Err() == nil: // it did reply
		w.circuit.RecordSuccess()
	case w.circuit.IsHalfOpen():
		w.circuit.RecordFailure()
	}
}
