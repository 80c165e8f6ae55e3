package llamacpp

import (
	"errors"
	"testing"

	"retort/llm"
)

const smallTokens = 4

// onlooker is the device of a Model that has one large request. It asks for little
// while it decodes the third batch, and counts the batches until that is answered.
type onlooker struct {
	device
	m     *Model
	large chan *job // to the scheduler
	small chan *job // from it

	batches int
	asked   *job // the small one
	took    int  // batches
}

func (o *onlooker) decode(rows []row, quit func() bool) error {
	switch o.batches++; {
	case o.batches == 3:
		large := <-o.large
		small, err := o.m.ask(large.ctx, greedy("a small request", smallTokens), 1)
		if err != nil {
			o.small <- large // which ends with it
			return err
		}
		o.asked = small
		o.small <- small
	case o.batches > 3 && o.asked.samples[0].out < smallTokens:
		o.took++
	}
	return o.device.decode(rows, quit)
}

// TestModel_smallRequestIsNotHeldUp asks for little while the engine is busy
// with sixty-four long answers, and while it reads a long prompt. It counts
// batches, since a clock tells more of the machine than of the model.
func TestModel_smallRequestIsNotHeldUp(t *testing.T) {
	many := greedy("tell me a story", 600)
	many.Sampling.Temperature = new(1.5)
	long := greedy(fewShots(1)[:3000], 400)
	for name, tc := range map[string]struct {
		req llm.Request
		n   int
	}{"many samples": {many, 64}, "long prompt": {long, 1}} {
		m := openTiny(t, tinyModel(t, "llama"), Options{ContextSize: 4000, Parallel: 4, Prefixes: 2, IgnoreEnd: true})
		o := &onlooker{device: m.dev, m: m, large: make(chan *job, 1), small: make(chan *job, 1)}
		m.sched.dev = o // it is read behind the first submit
		large, err := m.ask(t.Context(), tc.req, tc.n)
		if err != nil {
			t.Fatal(err)
		}
		o.large <- large
		if _, err := (<-o.small).wait(); err != nil {
			t.Fatal(err)
		}
		if o.took > 3*smallTokens {
			t.Errorf("%s: answered after %d batches, want its own %d and few more", name, o.took, smallTokens)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
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
