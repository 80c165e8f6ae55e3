package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hybridgroup/yzma/pkg/llama"
	"go.uber.org/goleak"

	"retort/llm"
)

const (
	soakRequests = 1000
	soakKinds    = 40 // different requests
)

// soakRequest is number i of the requests of a soak: prompts of very different
// lengths that share beginnings, some of them to be scored.
func soakRequest(i int) (req llm.Request, scored []string) {
	r := rand.New(rand.NewPCG(uint64(i), 11))
	text := strings.Repeat("the same words again and again; ", r.IntN(4)) + fmt.Sprint("number ", r.IntN(9))
	if i%5 == 0 {
		text = strings.Repeat("a long list of examples; ", 14) + text
	}
	req = greedy(text, 1+r.IntN(40))
	req.Logprobs = 2
	if i%3 == 0 {
		return req, []string{"yes", "no", "yes and no", "number"}
	}
	return req, nil
}

// soakAnswer is all that a request gave, in the order of its samples.
type soakAnswer struct {
	responses []llm.Response
	scores    []llm.Score
}

func soakAsk(ctx context.Context, m *Model, kind, n int) (soakAnswer, error) {
	req, scored := soakRequest(kind)
	if scored != nil {
		s, err := m.Score(ctx, req, scored)
		return soakAnswer{scores: s}, err
	}
	out, err := llm.CollectN(ctx, m, req, n)
	return soakAnswer{responses: out}, err
}

// differs says how a differs from what was answered alone; tie is true where
// two tokens were within nats of each other, so that the shape of a batch may
// have decided.
func (a soakAnswer) differs(alone soakAnswer, nats float64) (what string, tie bool) {
	for i, s := range a.scores {
		if math.Abs(s.Logprob-alone.scores[i].Logprob) > nats*float64(s.Tokens) {
			return fmt.Sprintf("score %d is %g, alone %g", i, s.Logprob, alone.scores[i].Logprob), false
		}
	}
	for i, r := range a.responses {
		want := alone.responses[0]
		if r.Text == want.Text {
			continue
		}
		what = fmt.Sprintf("sample %d is %q, alone %q", i, r.Text, want.Text)
		for k, lp := range want.Logprobs {
			if k >= len(r.Logprobs) || r.Logprobs[k].Token != lp.Token {
				return what, len(lp.Top) > 1 && lp.Top[0].Logprob-lp.Top[1].Logprob < nats
			}
		}
		return what, false
	}
	return "", false
}

// TestModel_soak asks a thousand mixed requests of two arms over one copy of
// the weights, from sixteen goroutines that often lose interest, and compares
// each answer with that of a model that had nothing else to do.
func TestModel_soak(t *testing.T) {
	if testing.Short() && slowdown == 1 { // the race detector is what it is for
		t.Skip("takes half a minute")
	}
	for name, exact := range map[string]bool{"exact": true, "fast": false} {
		t.Run(name, func(t *testing.T) { soak(t, exact) })
	}
}

func soak(t *testing.T, exact bool) {
	before := goleak.IgnoreCurrent()
	e, path := testEngine(t), tinyModel(t, "gemma3")
	lora, _ := tinyLoRA(t, "gemma3", 8)
	open := func(opts Options) (arms []*Model) {
		for _, set := range [][]Adapter{nil, {{lora, 2}}} {
			opts.Adapters, opts.Threads, opts.exact = set, 1, exact
			m, err := e.Open(t.Context(), path, opts)
			if err != nil {
				t.Fatal(err)
			}
			arms = append(arms, m)
		}
		return arms
	}
	alone := make([][]soakAnswer, 2)
	for i, m := range open(Options{ContextSize: 1024, Parallel: 1, Prefixes: 1}) {
		for kind := range soakKinds {
			a, err := soakAsk(t.Context(), m, kind, 1)
			if err != nil {
				t.Fatal(err)
			}
			alone[i] = append(alone[i], a)
		}
		_ = m.Close()
	}
	arms := open(Options{ContextSize: 1024, Parallel: 6, Prefixes: 3})
	s := soaker{t: t, arms: arms, alone: alone, nats: 0.001}
	if !exact {
		s.nats = 0.02 // what the rounding of faster attention can do
	}
	s.run()
	t.Logf("%d answered, %d cancelled, %d differ where two tokens were equally likely; RSS over the last half %v MB",
		s.answered.Load(), s.cancelled.Load(), s.ties.Load(), s.rss[len(s.rss)/2:])
	if s.ties.Load() > s.answered.Load()/20 {
		t.Errorf("%d of %d answers depend on the batch, want fewer", s.ties.Load(), s.answered.Load())
	}
	s.checkMemory()
	for _, m := range arms {
		checkDrained(t, m)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	goleak.VerifyNone(t, before)
}

// soaker is one run of a soak.
type soaker struct {
	t                         *testing.T
	arms                      []*Model
	alone                     [][]soakAnswer
	nats                      float64
	next                      atomic.Int64
	answered, cancelled, ties atomic.Int64
	mu                        sync.Mutex
	rss                       []uint64
}

func (s *soaker) run() {
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := int(s.next.Add(1)); i <= soakRequests; i = int(s.next.Add(1)) {
				s.ask(i)
				if i%25 == 0 {
					rss, _ := resident()
					s.mu.Lock()
					s.rss = append(s.rss, rss>>20)
					s.mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
}

// ask makes request number i. A third of them are cancelled at some time.
func (s *soaker) ask(i int) {
	r := rand.New(rand.NewPCG(uint64(i), 12))
	arm, kind, n := r.IntN(2), r.IntN(soakKinds), 1+r.IntN(3)
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	if i%3 == 0 {
		yields := r.IntN(200)
		go func() {
			for range yields {
				_, _ = s.arms[arm].tokens("some work that takes a while")
			}
			cancel()
		}()
	}
	got, err := soakAsk(ctx, s.arms[arm], kind, n)
	switch {
	case errors.Is(err, context.Canceled) && i%3 == 0:
		s.cancelled.Add(1)
		return
	case err != nil:
		s.t.Errorf("request %d: %v", i, err)
		return
	}
	s.answered.Add(1)
	what, tie := got.differs(s.alone[arm][kind], s.nats)
	switch {
	case tie:
		s.ties.Add(1)
	case what != "":
		s.t.Errorf("request %d, arm %d: %s", i, arm, what)
	}
}

// checkMemory wants the memory of the process flat over the last half.
func (s *soaker) checkMemory() {
	half := s.rss[len(s.rss)/2:]
	low, high := slices.Min(half), slices.Max(half)
	if float64(high-low) > 0.05*float64(high) {
		s.t.Errorf("RSS from %d to %d MB over the last half, want within 5 %%", low, high)
	}
}

// checkDrained ends the scheduler of m and looks for what it has left behind in
// itself and in the library.
func checkDrained(t *testing.T, m *Model) {
	t.Helper()
	s := m.sched
	s.close()
	s.dropGone()
	if len(s.running)+len(s.waiting)+s.queued != 0 || len(s.free) != s.lim.seqs || len(s.cache.free)+len(s.cache.entries) != s.lim.cached {
		t.Errorf("left over: %d running, %d waiting, %d in the queue, %d of %d sequences free",
			len(s.running), len(s.waiting), s.queued, len(s.free), s.lim.seqs)
	}
	for seq := range s.lim.seqs {
		if last, _ := llama.MemorySeqPosMax(m.dev.mem, llama.SeqId(seq)); last != -1 {
			t.Errorf("sequence %d holds tokens up to position %d", seq, last)
		}
	}
	flags := 0
	aborts.RLock()
	defer aborts.RUnlock()
	for _, f := range aborts.flags {
		if f != nil && f.quit.Load() != nil {
			flags++
		}
	}
	if flags != 0 {
		t.Errorf("%d decodes are under way", flags)
	}
}
