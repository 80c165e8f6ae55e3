package ensemble

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"retort/ensemble/meaning"
	"retort/llm"
)

// cancelGrace is how long a cancelled member may take to let go before the
// outcome goes out without waiting for it.
const cancelGrace = 50 * time.Millisecond

// part is what one member contributed to a question so far.
type part struct {
	state      partState
	candidates []Candidate
	spread     map[string]float64 // by key: the member's own distribution, if it is known
	reserved   float64            // US dollars set aside until the cost is known
	lost       llm.Usage          // of whole answers that do not count
	latency    time.Duration
	err        error
}

type partState int

const (
	notAsked partState = iota
	asked              // some samples may still come
	done               // all samples are there, or err says why not
	cut                // cancelled, since the outcome was decided
)

// delivery is what a member's goroutine hands in: candidates, or its end.
type delivery struct {
	member     int
	candidates []Candidate
	spread     map[string]float64 // of one ask: its part of the member's
	end        bool
	latency    time.Duration
	err        error
}

// gather asks the members in who at once, and takes what they say until all are
// done, settled says that the rest cannot change the outcome, or the time is
// over and a quorum has answered. Those still at work are then cancelled.
// settled may be nil. The error wraps ctx's, ErrNoQuorum or ErrOverBudget.
func (q *query) gather(ctx context.Context, who []int, settled func() bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	who = q.affordable(who)
	room := 0
	for _, i := range who {
		room += q.members[i].samples() + 1
	}
	box := make(chan delivery, room) // never blocks a member, even one that nobody waits for
	for _, i := range who {
		q.parts[i].state = asked
		go q.members[i].answer(ctx, i, q.req, box)
	}
	late, stop := q.deadline()
	defer stop()
	for open := len(who); open > 0; {
		select {
		case d := <-box:
			if q.take(d); d.end {
				open--
			}
			if open > 0 && settled != nil && settled() {
				cancel()
				q.drain(box, open)
				return nil
			}
		case <-late:
			cancel()
			q.drain(box, open)
			q.tooLate()
			return q.enoughAnswered()
		case <-ctx.Done():
			q.drain(box, open)
			return ctx.Err()
		}
	}
	return q.enoughAnswered()
}

// deadline is when the wait ends, counted from the start of the question.
func (q *query) deadline() (<-chan time.Time, func()) {
	if q.opts.Timeout <= 0 {
		return nil, func() {}
	}
	t := time.NewTimer(q.opts.Timeout - time.Since(q.start))
	return t.C, func() { t.Stop() }
}

// helping is the context of a judge, a fuser or another helper: it may take as
// long as the members may.
func (q *query) helping(ctx context.Context) (context.Context, context.CancelFunc) {
	if q.opts.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, q.opts.Timeout)
}

// take books one delivery.
func (q *query) take(d delivery) {
	p := &q.parts[d.member]
	if !d.end {
		p.candidates = append(p.candidates, d.candidates...)
		for key, weight := range d.spread {
			if p.spread == nil {
				p.spread = map[string]float64{}
			}
			p.spread[key] += weight
		}
		return
	}
	if p.state == cut {
		return
	}
	p.state, p.latency, p.err = done, d.latency, d.err
	if !costUnknown(p.candidates, d.err) { // else what was set aside stays so
		q.spent += q.members[d.member].cost(usageOf(p.candidates)) - p.reserved
	}
	if d.err != nil {
		p.drop() // half a vote would be a biased one
	}
	slices.SortFunc(p.candidates, func(a, b Candidate) int { return a.Sample - b.Sample })
}

// drop takes back what a member said. It is to be paid for all the same.
func (p *part) drop() {
	p.lost = usageOf(p.candidates)
	p.candidates, p.spread = nil, nil
}

// drain marks the members that are still at work as cut and waits, but not
// long, for them to let go.
func (q *query) drain(box <-chan delivery, open int) {
	for i := range q.parts {
		if p := &q.parts[i]; p.state == asked {
			p.latency = time.Since(q.start)
			if p.state = cut; len(p.candidates) == q.members[i].samples() {
				p.state = done // it only had to say so
			}
		}
	}
	grace := time.NewTimer(cancelGrace)
	defer grace.Stop()
	for open > 0 {
		select {
		case d := <-box:
			if d.end {
				open--
			}
		case <-grace.C:
			return
		}
	}
}

// tooLate makes those that were cut because the time was over count as failed.
func (q *query) tooLate() {
	for i := range q.parts {
		if p := &q.parts[i]; p.state == cut {
			p.drop()
			p.state = done
			p.err = fmt.Errorf("no answer within %s: %w", q.opts.Timeout, context.DeadlineExceeded)
		}
	}
}

// enoughAnswered is nil if a quorum of the members asked so far answered.
func (q *query) enoughAnswered() error {
	answered := 0
	for _, p := range q.parts {
		if len(p.candidates) > 0 {
			answered++
		}
	}
	switch {
	case answered >= min(q.opts.quorum(), len(q.members)):
		return nil
	case answered == 0:
		return q.noAnswer()
	}
	return fmt.Errorf("%w: %d of the %d that must%s", ErrNoQuorum, answered, q.opts.quorum(), q.failures(": "))
}

// noAnswer says in one line why nobody answered, and wraps every reason.
func (q *query) noAnswer() error {
	var errs []any
	format := "no member answered"
	for i, p := range q.parts {
		if p.err != nil {
			format += map[bool]string{true: ": ", false: "; "}[len(errs) == 0] + "%s: %w"
			errs = append(errs, q.members[i].Model.ID(), p.err)
		}
	}
	return fmt.Errorf(format, errs...)
}

func (q *query) failures(lead string) string {
	text := ""
	for i, p := range q.parts {
		if p.err != nil {
			text += lead + fmt.Sprintf("%s: %v", q.members[i].Model.ID(), p.err)
			lead = "; "
		}
	}
	return text
}

// affordable leaves out of who the members whose dearest possible answers would
// break the cost limit, and names them in the outcome.
func (q *query) affordable(who []int) []int {
	if q.opts.MaxCostUSD <= 0 {
		return who
	}
	var in []int
	for _, i := range who {
		most := q.members[i].mostCost(q.req)
		if q.spent+most > q.opts.MaxCostUSD {
			q.parts[i].state = done
			q.parts[i].err = fmt.Errorf("%w: up to $%.4f more than the $%.4f spent", ErrOverBudget, most, q.spent)
			continue
		}
		q.spent += most
		q.parts[i].reserved = most
		in = append(in, i)
	}
	return in
}

// mayHelp reports whether a helper can be asked under the cost limit, and names
// it in the outcome where it cannot.
func (q *query) mayHelp(m llm.Model, as string) bool {
	if q.opts.MaxCostUSD <= 0 {
		return true
	}
	if d, ok := llm.As[llm.Describer](m); ok && d.Describe().Local {
		return true
	}
	q.note("%s %s is left out: under a cost limit only models on this machine help", as, m.ID())
	return false
}

// answer draws the member's samples into box and then its end. Either all of
// them are whole or the end tells why not.
func (m Member) answer(ctx context.Context, member int, req llm.Request, box chan<- delivery) {
	start := time.Now()
	asks := m.asks(req)
	errs := make([]error, len(asks))
	var wg sync.WaitGroup
	for i, a := range asks {
		wg.Go(func() {
			errs[i] = m.draw(ctx, i, a, len(asks), func(spread map[string]float64, drawn ...Candidate) {
				for i := range drawn {
					drawn[i].Latency = time.Since(start)
				}
				box <- delivery{member: member, candidates: drawn, spread: spread}
			})
		})
	}
	wg.Wait()
	var err error
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		err = errs[i]
	}
	box <- delivery{member: member, end: true, latency: time.Since(start), err: err}
}

// draw takes the samples of the i-th ask. Samples are dealt over the asks in
// turn, so its own are i, i+stride, i+2*stride and so on.
func (m Member) draw(ctx context.Context, i int, a ask, stride int, give func(spread map[string]float64, drawn ...Candidate)) error {
	if len(m.Choices) > 0 {
		return m.choose(ctx, i, a, stride, give)
	}
	n := 0
	for resp, err := range llm.GenerateN(ctx, m.Model, a.req, a.n) {
		if err != nil {
			return err
		}
		give(nil, newCandidate(m.Model.ID(), resp.Index*stride+i, resp))
		n++
	}
	if n < a.n {
		return errors.Join(ctx.Err(), fmt.Errorf("%d of %d samples: %w", n, a.n, llm.ErrIncomplete))
	}
	return nil
}

// costUnknown reports whether a member may have been charged for more than its
// answers tell: for one that broke off or came too late, or has no token counts.
func costUnknown(candidates []Candidate, err error) bool {
	var late interface{ Timeout() bool }
	if errors.Is(err, llm.ErrIncomplete) || errors.As(err, &late) && late.Timeout() {
		return true
	}
	return slices.ContainsFunc(candidates, func(c Candidate) bool {
		return c.Usage.CostUSD <= 0 && !c.Usage.Counted()
	})
}

func usageOf(candidates []Candidate) (u llm.Usage) {
	for _, c := range candidates {
		u = u.Add(c.Usage)
	}
	return u
}

func newCandidate(model string, sample int, resp llm.Response) Candidate {
	return Candidate{Model: model, Sample: sample, Text: resp.Text, Key: meaning.Key(resp.Text),
		FinishReason: resp.FinishReason, Usage: resp.Usage}
}
