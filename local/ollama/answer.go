package ollama

import (
	"context"
	"fmt"
	"time"

	"github.com/ollama/ollama/api"

	"retort/llm"
)

// answer turns the server's records into events.
type answer struct {
	ctx        context.Context
	yield      func(llm.Event, error) bool
	asked      int // alternatives per token
	allowCloud bool
	start      time.Time
	end        func(api.Metrics) // told the server's own measure of a whole answer

	first     time.Duration // to the first token, once there is one
	logprobs  []llm.TokenLogprob
	given     bool // some log-probabilities came
	toolCalls int
}

// take handles one record. It returns errEnough once the caller wants no more,
// which makes api.Client close the connection without waiting for its end.
func (a *answer) take(r api.ChatResponse) error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	if r.RemoteHost != "" && !a.allowCloud {
		return refuseCloud()
	}
	a.note(r)
	if !a.pass(r.Message) {
		return errEnough
	}
	if !r.Done {
		return nil
	}
	reason, err := finishReason(r, a.toolCalls > 0)
	if err != nil {
		return err
	}
	a.end(r.Metrics)
	a.yield(a.done(r, reason), nil)
	return errEnough
}

// pass yields what a record holds, and reports whether more is wanted.
func (a *answer) pass(m api.Message) bool {
	if m.Content != "" {
		ev := llm.Text{Delta: m.Content, Logprobs: a.logprobs}
		a.logprobs = nil
		if !a.yield(ev, nil) {
			return false
		}
	}
	for _, call := range m.ToolCalls {
		if a.toolCalls++; !a.yield(toolCall(call, a.toolCalls), nil) {
			return false
		}
	}
	return true
}

func (a *answer) note(r api.ChatResponse) {
	if a.first == 0 && !r.Done {
		a.first = time.Since(a.start)
	}
	a.given = a.given || len(r.Logprobs) > 0
	if r.Message.Thinking == "" { // thoughts are no part of the answer, nor are their tokens
		a.logprobs = append(a.logprobs, logprobs(r.Logprobs)...)
	}
}

func (a *answer) done(r api.ChatResponse, reason llm.FinishReason) llm.Done {
	d := llm.Done{
		FinishReason: reason,
		Usage:        llm.Usage{InputTokens: r.PromptEvalCount, OutputTokens: r.EvalCount},
		Timing:       llm.Timing{FirstToken: a.first, Total: time.Since(a.start)},
	}
	switch {
	case a.asked > 0 && !a.given:
		d.Warnings = append(d.Warnings, "logprobs: the server gave none (Ollama has them from 0.12.11 on)")
	case a.asked > maxLogprobs:
		d.Warnings = append(d.Warnings, fmt.Sprintf("logprobs: %d alternatives instead of %d", maxLogprobs, a.asked))
	}
	return d
}
