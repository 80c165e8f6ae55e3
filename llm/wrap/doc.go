// Package wrap has what stands between a caller and a remote model, one thing
// each: Timeout bounds the phases of an answer, Limit keeps to a provider's rates,
// Breaker leaves a model alone that is down, Hedge asks a slow one twice, Retry asks
// again where that may help, Price says what an answer cost. Each takes a llm.Model
// and returns one with the same ID. The order that makes sense, from the outside in:
//
//	Price(Retry(Hedge(Breaker(Limit(Timeout(model))))))
//
// so that every attempt counts against the rates, and a model that is down is not
// asked again. Hedging is for those who ask for it: it doubles the price of every
// slow answer, and an ensemble, which asks several models and drops the last, is
// the better hedge.
//
// Abilities beyond Generate are reached with llm.As as ever; they go past the
// wrappers. Remote models have none that asks the service.
package wrap

import (
	"errors"
	"time"

	"retort/llm"
)

// inner is the model that a wrapper asks.
type inner struct{ model llm.Model }

// ID implements llm.Model.
func (w inner) ID() string { return w.model.ID() }

// Unwrap lets llm.As see the model within.
func (w inner) Unwrap() llm.Model { return w.model }

// retryable reports whether the request that ended in err may succeed later, and
// how long the service asks to wait until then. Errors say so by a method of that
// name.
func retryable(err error) (after time.Duration, ok bool) {
	var e interface{ Retryable() (time.Duration, bool) }
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Retryable()
}
