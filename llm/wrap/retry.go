package wrap

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"retort/llm"
)

// RetryOptions say how stubborn Retry is. The zero value is a sensible one.
type RetryOptions struct {
	Attempts int           // in all; 0 means 4
	Base     time.Duration // the first wait is up to this, each further one up to twice the last; 0 means 500 ms
	MaxWait  time.Duration // longest wait: a service that asks for more is not asked again; 0 means 30 s
	Deadline time.Duration // no attempt begins later than this after the first; 0 means 2 min
	Budget   *Budget       // shared by all models of a provider; nil sets no bound

	// If, where it is set, must agree as well. It is for those who may not pay
	// twice: after some failures the service may have answered all the same.
	If func(error) bool
}

// Retry returns m with another try, after a random wait, for requests that failed
// before the first event with an error whose method Retryable() (time.Duration,
// bool) says that it may help. What has begun is never asked anew: the caller has
// seen a part of it.
func Retry(m llm.Model, o RetryOptions) llm.Model {
	if o.Attempts == 0 {
		o.Attempts = 4
	}
	if o.Base == 0 {
		o.Base = 500 * time.Millisecond
	}
	if o.MaxWait == 0 {
		o.MaxWait = 30 * time.Second
	}
	if o.Deadline == 0 {
		o.Deadline = 2 * time.Minute
	}
	return &retrying{inner{m}, o}
}

type retrying struct {
	inner
	RetryOptions
}

func (w *retrying) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		end := time.Now().Add(w.Deadline)
		w.Budget.earn()
		for attempt := 1; ; attempt++ {
			err := w.attempt(ctx, req, yield)
			if err == nil {
				return
			}
			wait, again := w.next(ctx, err, attempt, end)
			if !again {
				if attempt > 1 {
					err = fmt.Errorf("%w (asked %d times)", err, attempt)
				}
				yield(nil, err)
				return
			}
			select {
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			case <-time.After(wait):
			}
		}
	}
}

// attempt asks once. It returns an error only if nothing of an answer was yielded,
// and yields it otherwise.
func (w *retrying) attempt(ctx context.Context, req llm.Request, yield func(llm.Event, error) bool) error {
	begun := false
	for ev, err := range w.model.Generate(ctx, req) {
		if err != nil && !begun {
			return err
		}
		begun = true
		if !yield(ev, err) || err != nil {
			return nil
		}
	}
	return nil
}

// next says whether to ask again, and how long to wait before.
func (w *retrying) next(ctx context.Context, err error, attempt int, end time.Time) (time.Duration, bool) {
	asked, ok := retryable(err)
	if !ok || w.If != nil && !w.If(err) || ctx.Err() != nil || attempt >= w.Attempts || asked > w.MaxWait {
		return 0, false
	}
	most := min(w.MaxWait, w.Base<<min(attempt-1, 20))
	wait := asked + rand.N(most) // from 0: clients that failed together must not come back together
	at := time.Now().Add(wait)
	if deadline, ok := ctx.Deadline(); at.After(end) || ok && at.After(deadline) {
		return 0, false
	}
	return wait, w.Budget.spend()
}

// Budget bounds the retries of a whole provider to a tenth of its requests, with
// ten to begin with: a service that is down gets hardly more load than one that is
// not. Its zero value is ready; it may be used from several goroutines.
type Budget struct {
	mu    sync.Mutex
	spent float64
}

const (
	budgetShare = 0.1
	budgetSize  = 10
)

func (b *Budget) earn() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(0, b.spent-budgetShare)
}

func (b *Budget) spend() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent+1 > budgetSize {
		return false
	}
	b.spent++
	return true
}
