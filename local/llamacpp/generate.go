package llamacpp

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"retort/llm"
)

// sample is one answer that is being drawn.
type sample struct {
	index int
	rng   *rand.Rand
	text  textStream
	out   int // tokens drawn, without the end mark
	first time.Duration

	form  *state // where it is in the form that it must have; nil where that is free
	shown string // the answer so far, where it must have a form

	path   []int32 // scoring: the tokens that are to follow the prompt
	score  float64 // scoring: their log-probability so far
	scored int     // scoring: of how many of them
}

// generation draws the answers to a request.
type generation struct {
	sampler  *sampler
	limit    int // most tokens of one answer
	logprobs int // alternatives to report per token; 0 for no log-probabilities
	begun    time.Time
	words    words
	form     *form // nil where the form of the answer is free
	job      *job
}

// words is what is to be known of a vocabulary to write an answer.
type words interface {
	piece(token int32) string
	endsAnswer(token int32) bool
}

func (g *generation) every() bool { return false }

func (g *generation) choose(b *branch, _ int, logits []float32) ([]fork, error) {
	if err := g.sampler.read(logits); err != nil {
		return nil, err
	}
	var report *reporter
	if g.logprobs > 0 {
		report = newReporter(logits, g.logprobs, g.words)
	}
	var forks []fork
	for _, s := range b.samples {
		token := g.sampler.draw(s.rng)
		if g.form != nil {
			var err error
			if token, err = g.form.bind(s, token, logits); err != nil {
				return nil, err
			}
		}
		goesOn, err := g.accept(s, token, report)
		if err != nil {
			return nil, err
		}
		if goesOn {
			forks = join(forks, token, s)
		}
	}
	return forks, nil
}

// join adds s to the fork that goes on with token.
func join(forks []fork, token int32, s *sample) []fork {
	for i := range forks {
		if forks[i].tokens[0] == token {
			forks[i].samples = append(forks[i].samples, s)
			return forks
		}
	}
	return append(forks, fork{tokens: []int32{token}, samples: []*sample{s}})
}

// accept takes the next token of s; false if the answer has ended.
func (g *generation) accept(s *sample, token int32, report *reporter) (bool, error) {
	if s.first == 0 {
		s.first = time.Since(g.begun)
	}
	if g.words.endsAnswer(token) {
		last, _ := s.text.rest()
		return false, g.finish(s, last, llm.FinishStop)
	}
	s.out++
	ev, stopped := s.text.add(g.words.piece(token), report.of(token))
	if stopped {
		return false, g.finish(s, ev, llm.FinishStop)
	}
	g.show(s, ev)
	whole := s.form != nil && s.form.full()
	if s.out < g.limit && !whole {
		return true, nil
	}
	last, stopped := s.text.rest()
	if stopped || whole {
		return false, g.finish(s, last, llm.FinishStop)
	}
	return false, g.finish(s, last, llm.FinishLength)
}

func (g *generation) show(s *sample, ev llm.Text) {
	if g.form != nil {
		s.shown += ev.Delta
	}
	if ev.Delta != "" || len(ev.Logprobs) > 0 {
		g.job.box.put(message{sample: s.index, event: ev})
	}
}

func (g *generation) finish(s *sample, last llm.Text, reason llm.FinishReason) error {
	if t := s.text.thoughts; t != nil && t.at == inThoughts {
		return fmt.Errorf("%w: its thoughts had no end within %d tokens", llm.ErrIncomplete, s.out)
	}
	g.show(s, last)
	if g.form != nil && reason == llm.FinishStop {
		if err := g.form.whole(s); err != nil {
			return err
		}
	}
	called, err := g.call(s, reason)
	if err != nil {
		return err
	}
	if called {
		reason = llm.FinishToolCalls
	}
	cached := g.job.cached
	if s.index > 0 { // the prompt was computed for the first sample
		cached = len(g.job.prompt)
	}
	g.job.box.put(message{sample: s.index, event: llm.Done{
		FinishReason: reason,
		Usage:        llm.Usage{InputTokens: len(g.job.prompt), CachedTokens: cached, OutputTokens: s.out},
		Timing:       llm.Timing{FirstToken: s.first, Total: time.Since(g.begun)},
	}})
	return nil
}

// call hands out the tool calls of an answer that has ended, or what looked
// like one and is text; true if there are any.
func (g *generation) call(s *sample, reason llm.FinishReason) (bool, error) {
	if s.text.call == nil {
		return false, nil
	}
	calls, text, err := s.text.call.calls(reason == llm.FinishLength)
	if err != nil {
		return false, err
	}
	g.show(s, s.text.show(text, true))
	for _, c := range calls {
		g.job.box.put(message{sample: s.index, event: c})
	}
	return len(calls) > 0, nil
}

// reporter makes the log-probabilities of one position. A nil reporter makes
// none.
type reporter struct {
	logits []float32
	norm   float64
	top    []llm.TokenLogprob
	words  words
}

func newReporter(logits []float32, n int, w words) *reporter {
	r := &reporter{logits: logits, norm: logNorm(logits), words: w}
	for _, c := range likeliest(nil, logits, n) {
		r.top = append(r.top, llm.TokenLogprob{Token: w.piece(c.token), Logprob: float64(c.logit) - r.norm})
	}
	return r
}

func (r *reporter) of(token int32) *llm.TokenLogprob {
	if r == nil {
		return nil
	}
	return &llm.TokenLogprob{Token: r.words.piece(token), Logprob: float64(r.logits[token]) - r.norm, Top: r.top}
}

// Generate implements llm.Model.
func (m *Model) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		j, err := m.ask(ctx, req, 1)
		if err != nil {
			yield(nil, m.wrap("generate", err))
			return
		}
		defer j.left.Store(true)
		for {
			got, err := j.box.take(ctx)
			if err != nil {
				yield(nil, m.wrap("generate", err))
				return
			}
			for _, msg := range got {
				if msg.err != nil {
					yield(nil, m.wrap("generate", msg.err))
					return
				}
				_, done := msg.event.(llm.Done)
				if !yield(msg.event, nil) || done {
					return
				}
			}
		}
	}
}

// GenerateN implements llm.BatchModel.
func (m *Model) GenerateN(ctx context.Context, req llm.Request, n int) iter.Seq2[llm.Response, error] {
	return func(yield func(llm.Response, error) bool) {
		j, err := m.ask(ctx, req, n)
		if err != nil {
			yield(llm.Response{}, m.wrap("generate", err))
			return
		}
		defer j.left.Store(true)
		answers := make([]llm.Response, n)
		for left := n; left > 0; {
			got, err := j.box.take(ctx)
			if err != nil {
				yield(llm.Response{}, m.wrap("generate", err))
				return
			}
			for _, msg := range got {
				if msg.err != nil {
					yield(llm.Response{}, m.wrap("generate", msg.err))
					return
				}
				r := &answers[msg.sample]
				if !gather(r, msg) {
					continue
				}
				left--
				if !yield(*r, nil) {
					return
				}
			}
		}
	}
}

// gather adds a message to the answer it belongs to; true if it is whole now.
func gather(r *llm.Response, msg message) bool {
	switch ev := msg.event.(type) {
	case llm.Text:
		r.Text += ev.Delta
		r.Logprobs = append(r.Logprobs, ev.Logprobs...)
	case llm.ToolCall:
		r.ToolCalls = append(r.ToolCalls, ev)
	case llm.Done:
		r.Index, r.FinishReason, r.Usage, r.Timing = msg.sample, ev.FinishReason, ev.Usage, ev.Timing
		return true
	}
	return false
}

// ask checks req and hands it to the scheduler.
func (m *Model) ask(ctx context.Context, req llm.Request, n int) (*job, error) {
	begun := time.Now()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := m.check(req); err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, fmt.Errorf("%w: %d samples, want 1 or more", llm.ErrBadRequest, n)
	}
	text, prompt, err := m.promptTokens(req.Messages, req.Tools...)
	if err != nil {
		return nil, err
	}
	limit := m.contextSize - len(prompt)
	if limit < 1 {
		return nil, overflow(len(prompt), m.contextSize)
	}
	if most := req.Sampling.MaxOutputTokens; most > 0 {
		limit = min(limit, most)
	}
	j := &job{ctx: ctx, prompt: prompt, box: newMailbox()}
	g := &generation{sampler: newSampler(req.Sampling), limit: limit, logprobs: req.Logprobs,
		begun: begun, words: m.words, job: j}
	if len(req.Tools) > 0 {
		if g.words, err = m.callWords(); err != nil {
			return nil, err
		}
	}
	if g.form, err = newForm(req, g.words, m.template.lead, m.vocab.tokenIndex); err != nil {
		return nil, err
	}
	j.chooser = g
	for i := range n {
		s := m.newSample(req, g.form, i)
		if g.form == nil && m.template.thinks {
			s.text.thoughts = &thoughtGate{}
			if opensThoughts(text) {
				s.text.thoughts.at = inThoughts
			}
		}
		j.samples = append(j.samples, s)
	}
	return j, m.sched.submit(j)
}

func (m *Model) newSample(req llm.Request, f *form, i int) *sample {
	p, seed := req.Sampling, rand.Int64()
	if p.Seed != nil {
		seed = *p.Seed + int64(i)
	}
	s := &sample{index: i, rng: rand.New(rand.NewPCG(uint64(seed), 0))}
	s.text.lead = m.template.lead
	if len(req.Tools) > 0 {
		s.text.call = &callGate{form: m.template.calls, tools: req.Tools}
	}
	s.text.stop.stops = slices.Clone(p.Stop)
	if f != nil { // the form says where the answer ends, the template does not
		s.form = f.matcher.root
	} else {
		s.text.stop.stops = append(s.text.stop.stops, m.template.stops...)
	}
	return s
}

func overflow(prompt, context int) error {
	return fmt.Errorf("%w: the prompt is %d tokens, the context holds %d", llm.ErrContextOverflow, prompt, context)
}

// wrap names the operation and the model in err.
func (m *Model) wrap(operation string, err error) error {
	return fmt.Errorf("%s %q: %w", operation, m.id, err)
}
