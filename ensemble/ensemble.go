package ensemble

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"retort/llm"
)

// Ensemble is a set of members and a strategy. It is safe for concurrent use.
type Ensemble struct {
	strategy Strategy
	members  []Member
	opts     Options
}

// New makes an ensemble of members, which must be at least one.
func New(strategy Strategy, members ...Member) (*Ensemble, error) {
	return Options{}.New(strategy, members...)
}

// New makes an ensemble that works by o. The error wraps ErrUnknownStrategy
// where that is the cause.
func (o Options) New(strategy Strategy, members ...Member) (*Ensemble, error) {
	if _, err := ParseStrategy(string(strategy)); err != nil {
		return nil, err
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	if len(members) == 0 {
		return nil, errors.New("ensemble: no members")
	}
	return &Ensemble{strategy: strategy, members: members, opts: o}, nil
}

// Errors that say why there is an Outcome but no answer.
var (
	// ErrNoConsensus: the members answered, but not alike.
	ErrNoConsensus = errors.New("no consensus")

	// ErrUnsure: the confidence is below Options.MinConfidence.
	ErrUnsure = errors.New("not sure enough to answer")

	// ErrNoQuorum: too few members answered in time.
	ErrNoQuorum = errors.New("too few members answered")

	// ErrOverBudget: asking could cost more than Options.MaxCostUSD.
	ErrOverBudget = errors.New("over the cost limit")
)

// Query asks the members that the strategy wants and decides. The Outcome holds
// every candidate even when the error is ErrNoConsensus or ErrUnsure; any other
// error means that too few members gave a whole answer, or that ctx ended.
func (e *Ensemble) Query(ctx context.Context, req llm.Request) (Outcome, error) {
	if err := req.Validate(); err != nil {
		return Outcome{}, err
	}
	if len(req.Tools) > 0 { // members would call them each on its own
		return Outcome{}, fmt.Errorf("tools: %w by an ensemble", llm.ErrUnsupported)
	}
	q := newQuery(e, req)
	err := e.strategy.plan().run(ctx, q)
	if ctx.Err() != nil {
		return Outcome{}, ctx.Err()
	}
	out := q.finish()
	if err == nil && out.Confidence < e.opts.MinConfidence {
		err = fmt.Errorf("%w: confidence %.2f is below %.2f (%s)", ErrUnsure, out.Confidence, e.opts.MinConfidence, calibratedWord(out.Calibrated))
		out.Answer = ""
	}
	return out, err
}

func calibratedWord(yes bool) string {
	if yes {
		return "calibrated"
	}
	return "uncalibrated"
}

// ID implements llm.Model.
func (e *Ensemble) ID() string {
	ids := make([]string, len(e.members))
	for i, m := range e.members {
		ids[i] = m.Model.ID()
	}
	return "ensemble/" + string(e.strategy) + "(" + strings.Join(ids, ",") + ")"
}

// Describe implements llm.Describer: an ensemble can what all its members can, as
// far as they say.
func (e *Ensemble) Describe() llm.Description {
	all := llm.Description{Local: true, Images: true, Formats: true}
	for i, m := range e.members {
		var d llm.Description
		if known, ok := llm.As[llm.Describer](m.Model); ok {
			d = known.Describe()
		}
		all.Local, all.Images, all.Formats = all.Local && d.Local, all.Images && d.Images, all.Formats && d.Formats
		if all.ContextSize = min(all.ContextSize, d.ContextSize); i == 0 {
			all.ContextSize = d.ContextSize
		}
	}
	return all
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
		warnings := out.Notes
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

// query is one question on its way to an Outcome.
type query struct {
	*Ensemble
	req   llm.Request
	start time.Time
	parts []part // by member
	out   Outcome
	top   Candidate // what the strategy chose; its Key tells the voters
	spent float64   // US dollars, as far as known
	soft  bool      // members whose own distribution is known stand for its top
	judge []float64 // margin of the judges' choice, if they chose: none or one
	cross []float64 // how likely the other members find the choice: none or one
}

func newQuery(e *Ensemble, req llm.Request) *query {
	return &query{Ensemble: e, req: req, start: time.Now(), parts: make([]part, len(e.members)),
		out: Outcome{Strategy: e.strategy, TaskType: e.opts.TaskType, Method: MethodAgreement}}
}

// finish fills in what every strategy's outcome has.
func (q *query) finish() Outcome {
	o := &q.out
	for i := range q.parts {
		o.Candidates = append(o.Candidates, q.parts[i].candidates...)
	}
	for _, m := range o.Members {
		o.Usage = o.Usage.Add(m.Usage)
		o.CostUSD += m.CostUSD
	}
	for _, j := range o.Judges {
		o.Usage = o.Usage.Add(j.Usage)
		o.CostUSD += j.Usage.CostUSD
	}
	o.Elapsed = time.Since(q.start)
	return *o
}

// note adds a line that the user should see.
func (q *query) note(format string, args ...any) {
	q.out.Notes = append(q.out.Notes, fmt.Sprintf(format, args...))
}
