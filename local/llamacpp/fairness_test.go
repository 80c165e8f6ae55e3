package llamacpp

import (
	"context"
	"errors"
	"testing"

	"retort/llm"
)

// TestModel_smallRequestIsNotHeldUp asks for little while the engine is busy
// with sixty-four long answers, and while it reads a long prompt.
func TestModel_smallRequestIsNotHeldUp(t *testing.T) {
	m := openTiny(t, tinyModel(t, "llama"), Options{ContextSize: 4000, Parallel: 4, Prefixes: 2, IgnoreEnd: true})
	many := greedy("tell me a story", 600)
	many.Sampling.Temperature = new(1.5)
	long := greedy(fewShots(1)[:3000], 400)
	for name, tc := range map[string]struct {
		req llm.Request
		n   int
	}{"many samples": {many, 64}, "long prompt": {long, 1}} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int, 1)
		go func() {
			n := 0
			for _, err := range m.GenerateN(ctx, tc.req, tc.n) {
				if ctx.Err() != nil {
					break
				}
				if n++; err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			ended <- n
		}()
		for m.dev.abort.quit.Load() == nil && len(ended) == 0 { // until it decodes
			if _, err := m.tokens("wait"); err != nil {
				t.Fatal(err)
			}
		}
		collect(t, m, greedy("a small request", 4))
		cancel()
		if n := <-ended; n > tc.n/2 {
			t.Errorf("%s: %d of %d answers were whole before the small one", name, n, tc.n)
		}
	}
}

func TestModel_refusesMoreThanMayWait(t *testing.T) {
	m := openTiny(t, tinyModel(t, "llama"), Options{MaxQueue: 1, ContextSize: 256})
	m.sched.mu.Lock()
	m.sched.queued = 1
	m.sched.mu.Unlock()
	_, err := llm.Collect(t.Context(), m, greedy("hello", 1))
	if !errors.Is(err, ErrBusy) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	if _, err := m.Score(t.Context(), greedy("hello", 1), []string{"a"}); !errors.Is(err, ErrBusy) {
		t.Errorf("score: error %v, want ErrBusy", err)
	}
}
