package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"retort/llm"
)

func someTasks(n int) []task {
	var out []task
	for i := range n {
		messages := []llm.Message{llm.User(fmt.Sprint(i))}
		out = append(out, task{Digest: taskDigest(messages), Messages: messages})
	}
	return out
}

func newTestAsker(limit float64, ask func(context.Context, task) taskAnswer) *asker {
	return &asker{ledger: newTestLedger(&fullFile{1 << 30}), limit: limit, parallel: 4, step: stepAsk,
		most: func(task) float64 { return 1 }, ask: ask, told: func(taskAnswer) {}, grace: time.Minute}
}

func keptAnswer(t task, cost float64) taskAnswer {
	return taskAnswer{task: t, entry: ledgerLine{Result: resultKept, Cost: cost}}
}

// TestAsker_neverPassesTheBudget asks at random prices, failures and speeds; a
// provider's own count must stay within the budget at every moment, and all of the
// budget be used that can be.
func TestAsker_neverPassesTheBudget(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			tasks := someTasks(60)
			most, actual, pause := map[string]float64{}, map[string]float64{}, map[string]time.Duration{}
			for _, one := range tasks {
				most[one.Digest] = rnd.Float64()
				actual[one.Digest] = most[one.Digest] * rnd.Float64()
				pause[one.Digest] = time.Duration(rnd.IntN(1000)) * time.Millisecond
			}
			limit := rnd.Float64() * 20
			var mu sync.Mutex
			charged := 0.0
			a := newTestAsker(limit, nil)
			a.parallel = 1 + rnd.IntN(16)
			a.most = func(t task) float64 { return most[t.Digest] }
			a.ask = func(_ context.Context, one task) taskAnswer {
				time.Sleep(pause[one.Digest]) // in the bubble's time
				mu.Lock()
				defer mu.Unlock()
				if charged += actual[one.Digest]; charged > limit {
					t.Errorf("seed %d: charged %g of %g", seed, charged, limit)
				}
				return keptAnswer(one, actual[one.Digest])
			}
			err := a.run(t.Context(), tasks)
			if left := limit - charged; errors.Is(err, errBudgetUsed) && left > 1 {
				t.Errorf("seed %d: stopped with %g left", seed, left)
			} else if err != nil && !errors.Is(err, errBudgetUsed) {
				t.Errorf("seed %d: %v", seed, err)
			}
			if d := a.ledger.spent - charged; d > 1e-9 || d < -1e-9 || a.ledger.reserved() != 0 {
				t.Errorf("seed %d: the ledger has %g, the provider %g", seed, a.ledger.spent, charged)
			}
		})
	}
}

func TestAsker_stopsAfterFailuresInARow(t *testing.T) {
	down := errors.New("down")
	for name, c := range map[string]struct {
		err   func(n int) error // of the n-th question
		calls int
		want  error
	}{
		"all fail":            {func(int) error { return down }, maxFailures, down},
		"every fifth answers": {func(n int) error { return map[bool]error{true: nil, false: down}[n%5 == 0] }, 40, nil},
		"questions too long":  {func(int) error { return llm.ErrContextOverflow }, 40, nil},
	} {
		calls := 0
		a := newTestAsker(1000, nil)
		a.parallel = 1
		a.ask = func(_ context.Context, one task) taskAnswer {
			calls++
			err := c.err(calls)
			return taskAnswer{task: one, entry: ledgerLine{Result: map[bool]string{true: resultKept, false: resultFailed}[err == nil]}, err: err}
		}
		if err := a.run(t.Context(), someTasks(40)); !errors.Is(err, c.want) || calls != c.calls {
			t.Errorf("%s: %d calls, error %v; want %d, %v", name, calls, err, c.calls, c.want)
		}
	}
}

// TestAsker_fullDisk asks nothing more once the ledger cannot be written.
func TestAsker_fullDisk(t *testing.T) {
	var mu sync.Mutex
	calls := 0
	a := newTestAsker(1000, func(_ context.Context, one task) taskAnswer {
		mu.Lock()
		defer mu.Unlock()
		calls++
		return keptAnswer(one, 0.1)
	})
	f := &fullFile{room: 3000}
	a.ledger.file = f
	err := a.run(t.Context(), someTasks(100))
	if !errors.Is(err, syscall.ENOSPC) || calls == 0 || calls > 10 {
		t.Errorf("%d calls, error %v", calls, err)
	}
	if len(a.ledger.closed)+len(a.ledger.open) < calls {
		t.Errorf("%d calls, but %d lines", calls, len(a.ledger.closed)+len(a.ledger.open))
	}
}

func TestAsker_storeFails(t *testing.T) {
	broken := errors.New("the store is full")
	a := newTestAsker(1000, func(_ context.Context, one task) taskAnswer {
		return taskAnswer{task: one, entry: ledgerLine{Result: resultFailed, Cost: 0.5}, fatal: broken}
	})
	a.parallel = 1
	if err := a.run(t.Context(), someTasks(3)); !errors.Is(err, broken) || a.ledger.spent != 0.5 {
		t.Errorf("spent %g, error %v", a.ledger.spent, err)
	}
}

func TestAsker_interrupted(t *testing.T) {
	for name, c := range map[string]struct {
		price, takes float64 // dollars, seconds
		booked       int     // of the 4 on their way
		lost         float64
		ends         time.Duration
	}{
		"waits for what is paid for":     {1, 30, 4, 0, 29 * time.Second},
		"not for ever":                   {1, 300, 0, 4, time.Minute},
		"and not for what costs nothing": {0, 300, 0, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			a := newTestAsker(1000, func(ctx context.Context, one task) taskAnswer {
				select {
				case <-ctx.Done():
					return taskAnswer{task: one, open: true}
				case <-time.After(time.Duration(c.takes) * time.Second):
					return keptAnswer(one, 0.5)
				}
			})
			a.most = func(task) float64 { return c.price }
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			err := a.run(ctx, someTasks(100))
			if !errors.Is(err, context.Canceled) || len(a.ledger.closed) != c.booked || a.ledger.reserved() != c.lost || time.Since(start)-time.Second != c.ends {
				t.Errorf("%s: %d booked, %g open, after %v, error %v", name, len(a.ledger.closed), a.ledger.reserved(), time.Since(start), err)
			}
		})
	}
}
