package ensemble

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"retort/llm"
)

// Ensemble is a set of members and a strategy. It is safe for concurrent use.
type Ensemble struct {
	strategy Strategy
	members  []Member
}

// New makes an ensemble of members, which must be at least one.
func New(strategy Strategy, members ...Member) (*Ensemble, error) {
	if _, err := ParseStrategy(string(strategy)); err != nil {
		return nil, err
	}
	if len(members) == 0 {
		return nil, errors.New("ensemble: no members")
	}
	return &Ensemble{strategy: strategy, members: members}, nil
}

// Query asks every member and decides. The Outcome holds every candidate even
// when the error is ErrNoConsensus; any other error means that no member gave a
// whole answer, or that ctx ended.
func (e *Ensemble) Query(ctx context.Context, req llm.Request) (Outcome, error) {
	if err := req.Validate(); err != nil {
		return Outcome{}, err
	}
	start := time.Now()
	results, candidates := e.fanOut(ctx, req)
	if err := ctx.Err(); err != nil {
		return Outcome{}, err
	}
	out := Outcome{Strategy: e.strategy, Method: MethodAgreement, Members: results}
	if err := noAnswer(results); err != nil {
		return out, err
	}
	e.score(candidates)
	for _, c := range candidates {
		out.Candidates = append(out.Candidates, c...)
	}
	for _, r := range results {
		out.Usage = out.Usage.Add(r.Usage)
		out.CostUSD += r.CostUSD
	}
	err := e.decide(&out, candidates)
	out.Elapsed = time.Since(start)
	return out, err
}

// fanOut asks all members at once and waits for all of them.
func (e *Ensemble) fanOut(ctx context.Context, req llm.Request) ([]MemberResult, [][]Candidate) {
	results := make([]MemberResult, len(e.members))
	candidates := make([][]Candidate, len(e.members))
	var wg sync.WaitGroup
	for i, m := range e.members {
		wg.Go(func() { results[i], candidates[i] = m.answer(ctx, req) })
	}
	wg.Wait()
	return results, candidates
}

// answer draws the member's samples. Either all of them are whole or the member
// has no part in the outcome: half a vote would be a biased one.
func (m Member) answer(ctx context.Context, req llm.Request) (MemberResult, []Candidate) {
	result := MemberResult{Model: m.Model.ID()}
	candidates := make([]Candidate, m.samples())
	start := time.Now()
	var wg sync.WaitGroup
	asks := m.asks(req)
	errs := make([]error, len(asks))
	for i, a := range asks {
		wg.Go(func() {
			drawn, err := m.draw(ctx, i, a, len(asks))
			errs[i] = err
			for _, c := range drawn {
				candidates[c.Sample] = c
			}
		})
	}
	wg.Wait()
	result.Latency = time.Since(start)
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		result.Err = errs[i]
		return result, nil
	}
	for _, c := range candidates {
		result.Usage = result.Usage.Add(c.Usage)
	}
	top, share := majority(candidates)
	result.Answer, result.Share, result.Samples = top.Text, share, len(candidates)
	result.CostUSD = m.Price.Cost(result.Usage)
	return result, candidates
}

// draw takes the samples of the i-th ask. Samples are dealt over the asks in
// turn, so its own are i, i+stride, i+2*stride and so on.
func (m Member) draw(ctx context.Context, i int, a ask, stride int) ([]Candidate, error) {
	if len(m.Choices) > 0 {
		return m.choose(ctx, i, a, i, stride)
	}
	start := time.Now()
	var out []Candidate
	for resp, err := range llm.GenerateN(ctx, m.Model, a.req, a.n) {
		if err != nil {
			return nil, err
		}
		out = append(out, newCandidate(m.Model.ID(), resp.Index*stride+i, resp, time.Since(start)))
	}
	return out, nil
}

func newCandidate(model string, sample int, resp llm.Response, latency time.Duration) Candidate {
	return Candidate{Model: model, Sample: sample, Text: resp.Text, Key: Normalize(resp.Text),
		FinishReason: resp.FinishReason, Latency: latency, Usage: resp.Usage}
}

// noAnswer returns the members' errors if none of them answered.
func noAnswer(results []MemberResult) error {
	var rest strings.Builder
	for i, r := range results {
		if r.Err == nil {
			return nil
		}
		if i > 0 {
			fmt.Fprintf(&rest, "; %s: %v", r.Model, r.Err)
		}
	}
	return fmt.Errorf("no member answered: %s: %w%s", results[0].Model, results[0].Err, rest.String())
}

func (e *Ensemble) score(perMember [][]Candidate) {
	votes := count(e.members, perMember)
	for _, candidates := range perMember {
		for i := range candidates {
			candidates[i].Score = votes.share(candidates[i].Key)
		}
	}
}

func (e *Ensemble) decide(out *Outcome, perMember [][]Candidate) error {
	top := best(e.members, perMember)
	out.Confidence = top.Score
	var why string
	out.Agreed, why = agreed(out.Members)
	if e.strategy == Consensus && !out.Agreed {
		return fmt.Errorf("%w: %s", ErrNoConsensus, why)
	}
	out.Answer, out.FinishReason = top.Text, top.FinishReason
	return nil
}

// ID implements llm.Model.
func (e *Ensemble) ID() string {
	ids := make([]string, len(e.members))
	for i, m := range e.members {
		ids[i] = m.Model.ID()
	}
	return "ensemble/" + string(e.strategy) + "(" + strings.Join(ids, ",") + ")"
}

// Generate implements llm.Model: the decided answer in one piece, since it
// cannot be known before the members are done.
func (e *Ensemble) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		out, err := e.Query(ctx, req)
		if err != nil {
			yield(nil, err)
			return
		}
		var warnings []string
		for _, m := range out.Members {
			if m.Err != nil {
				warnings = append(warnings, fmt.Sprintf("member %s: %v", m.Model, m.Err))
			}
		}
		if req.Logprobs > 0 {
			warnings = append(warnings, "logprobs: an ensemble has none of its own")
		}
		if !yield(llm.Text{Delta: out.Answer}, nil) {
			return
		}
		yield(llm.Done{FinishReason: out.FinishReason, Usage: out.Usage, Warnings: warnings,
			Timing: llm.Timing{FirstToken: out.Elapsed, Total: out.Elapsed}}, nil)
	}
}
