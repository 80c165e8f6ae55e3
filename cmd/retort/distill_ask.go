package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"retort/ensemble"
	"retort/llm"
	"retort/llm/wrap"
	"retort/remote"
)

// Tokens are reckoned so that no provider counts more: each is at least a byte of
// text, and a few stand around each message.
const (
	tokensAround  = 16 // a message
	tokensRequest = 64 // a request
)

// mostCost is what one answer of a model at price p to messages can cost at most,
// US dollars.
func mostCost(p ensemble.Price, messages []llm.Message, maxTokens int) float64 {
	in := tokensRequest
	for _, m := range messages {
		in += len(m.Content) + tokensAround
	}
	return p.Cost(llm.Usage{InputTokens: in, OutputTokens: maxTokens})
}

// mostOf is what asking all members a question can cost at most.
func mostOf(members []ensemble.Member, messages []llm.Message, maxTokens int) (sum float64) {
	for _, m := range members {
		sum += float64(max(m.Samples, 1)) * mostCost(m.Price, messages, maxTokens)
	}
	return sum
}

// costOf is what an outcome cost: what is known, and the most that it can be of
// each member that may have been charged for an answer that did not come through,
// or whose service did not say how long its answers are.
func costOf(o ensemble.Outcome, members []ensemble.Member, messages []llm.Message, maxTokens int) float64 {
	cost := o.CostUSD
	for i, m := range o.Members {
		cutShort := m.Skipped && m.Latency > 0
		refused := m.Err != nil && members[i].Samples <= 1 && isRefused(m.Err)
		if (cutShort || m.Err != nil || isUncounted(o, m.Model)) && !refused {
			cost += mostOf(members[i:i+1], messages, maxTokens) - m.CostUSD
		}
	}
	return cost
}

// isUncounted reports whether an answer of a model came without token counts.
func isUncounted(o ensemble.Outcome, model string) bool {
	return slices.ContainsFunc(o.Candidates, func(c ensemble.Candidate) bool { return c.Model == model && !c.Usage.Counted() })
}

// isRefused reports whether a service, by its own word or because it was not asked
// at all, has done nothing that it could charge for. A gateway that gave up says
// nothing about the service behind it.
func isRefused(err error) bool {
	var (
		status *remote.StatusError
		open   *wrap.OpenError
	)
	switch {
	case errors.As(err, &open), errors.Is(err, llm.ErrUnsupported):
		return true
	case errors.Is(err, llm.ErrIncomplete) || !errors.As(err, &status):
		return false
	}
	switch status.Status {
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusGatewayTimeout:
		return false
	}
	return true
}

// Words to count answers by that were not kept.
const (
	reasonNoConsensus = "no_consensus"
	reasonUnsure      = "unsure"
	reasonEmpty       = "empty"
	reasonCutShort    = "cut_short"
	reasonLowQuality  = "low_quality"
)

// ask has the ensemble of the task's type answer it, and keeps what may be kept.
func (d *distill) ask(ctx context.Context, t task) taskAnswer {
	a := taskAnswer{task: t}
	e := d.ensembles[t.TaskType]
	req := llm.Request{Messages: t.Messages, Sampling: d.sampling(t)}
	o, err := e.Query(ctx, req)
	if ctx.Err() != nil && err != nil {
		a.open = true
		return a
	}
	a.entry.Cost = costOf(o, d.members, t.Messages, d.job.Settings.MaxTokens)
	settled := context.WithoutCancel(ctx) // it has its answer: that is kept whatever comes
	log := queryOf(o, "ensemble")
	down := firstFailure(o)
	switch {
	case errors.Is(err, ensemble.ErrNoConsensus) && down != nil: // it may yet come to one
		a.entry.Result, a.entry.Detail, a.err = resultFailed, oneLine(err), down
	case errors.Is(err, ensemble.ErrNoConsensus):
		a.entry.Result, a.entry.Reason, a.entry.Detail = resultNotKept, reasonNoConsensus, oneLine(err)
	case errors.Is(err, ensemble.ErrUnsure):
		a.entry.Result, a.entry.Reason, a.entry.Detail = resultNotKept, reasonUnsure, oneLine(err)
	case err != nil:
		a.entry.Result, a.entry.Detail, a.err = resultFailed, oneLine(err), err
	default:
		a.fatal = d.keep(settled, t, o, req, &a.entry)
		log.ExampleID = a.entry.Example
	}
	if a.fatal == nil {
		a.fatal = d.logQuery(settled, log)
	}
	if a.fatal != nil { // the answer may be lost, what it cost is not
		a.entry.Result, a.entry.Detail = resultFailed, oneLine(a.fatal)
	}
	return a
}

// firstFailure is why the first member that failed did; nil if none did.
func firstFailure(o ensemble.Outcome) error {
	for _, m := range o.Members {
		if m.Err != nil {
			return fmt.Errorf("%s: %w", m.Model, m.Err)
		}
	}
	return nil
}

// keep judges the answer and stores it if it is good enough.
func (d *distill) keep(ctx context.Context, t task, o ensemble.Outcome, req llm.Request, e *ledgerLine) error {
	if len(o.Candidates) == 1 && o.Strategy != ensemble.Specialization && !o.Calibrated {
		o.Confidence = 1 // a teacher that was chosen for this and is heard alone is taken at its word
	}
	ex, verdict := d.judge(o, req, t.TaskType)
	e.Detail = verdict.Reason
	if !verdict.Kept {
		e.Result, e.Reason = resultNotKept, reasonLowQuality
		switch {
		case strings.TrimSpace(o.Answer) == "":
			e.Reason = reasonEmpty
		case o.FinishReason != llm.FinishStop:
			e.Reason = reasonCutShort
		}
		return nil
	}
	ex.Source.Kind, ex.Source.Name, ex.Source.VariationOf = "distill", d.job.ID, t.Of
	store, err := d.store()
	if err != nil {
		return err
	}
	if _, err := store.Put(ctx, ex); err != nil {
		return fmt.Errorf("keep the answer: %w", err)
	}
	e.Result, e.Example = resultKept, ex.ID
	return nil
}

// sampling is the run's, with a seed of the task's own: an unlucky draw would else
// be the same for all.
func (d *distill) sampling(t task) llm.Sampling {
	s := llm.Sampling{Temperature: new(d.job.Settings.Temperature), MaxOutputTokens: d.job.Settings.MaxTokens}
	if seed := d.job.Settings.Seed; seed != nil {
		s.Seed = new(*seed + seedOffset(t.Digest))
	}
	return s
}

// seedOffset is a number made from a digest, so that it is the same whatever else
// is asked.
func seedOffset(digest string) int64 {
	raw, err := hex.DecodeString(strings.TrimPrefix(digest, "sha256:"))
	if err != nil || len(raw) < 4 {
		return 0
	}
	const most = 1<<31/seedStride - 1000 // some services take 31 bits; samples of one task take the seeds between
	return int64(binary.BigEndian.Uint32(raw)) % most * seedStride
}
