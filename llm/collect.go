package llm

import (
	"context"
	"fmt"
	"iter"
	"strings"
)

// Response is a whole answer.
type Response struct {
	Index        int // which of several samples this is; 0 for a single answer
	Text         string
	Logprobs     []TokenLogprob
	ToolCalls    []ToolCall
	FinishReason FinishReason
	Usage        Usage
	Timing       Timing
	Warnings     []string
}

// Collect asks m and waits for the whole answer. A sequence that ends without
// Done is ErrIncomplete, whatever the model says.
func Collect(ctx context.Context, m Model, req Request) (Response, error) {
	return Gather(m.ID(), m.Generate(ctx, req))
}

// Gather joins the events of one answer from the model named id.
func Gather(id string, events iter.Seq2[Event, error]) (Response, error) {
	var (
		text strings.Builder
		resp Response
		done bool
	)
	for ev, err := range events {
		if err != nil {
			return Response{}, err
		}
		if done {
			return Response{}, fmt.Errorf("generate %q: event after the end of the answer", id)
		}
		switch ev := ev.(type) {
		case Text:
			text.WriteString(ev.Delta)
			resp.Logprobs = append(resp.Logprobs, ev.Logprobs...)
		case ToolCall:
			resp.ToolCalls = append(resp.ToolCalls, ev)
		case Done:
			done = true
			resp.FinishReason, resp.Usage = ev.FinishReason, ev.Usage
			resp.Timing, resp.Warnings = ev.Timing, ev.Warnings
		default:
			return Response{}, fmt.Errorf("generate %q: unknown event %T", id, ev)
		}
	}
	if !done {
		return Response{}, fmt.Errorf("generate %q: %w", id, ErrIncomplete)
	}
	resp.Text = text.String()
	return resp, nil
}

// CollectN draws n answers to req, in one batch where m is a BatchModel and one
// after the other where it is not. The answers are ordered by Index.
func CollectN(ctx context.Context, m Model, req Request, n int) ([]Response, error) {
	out := make([]Response, n)
	for resp, err := range GenerateN(ctx, m, req, n) {
		if err != nil {
			return nil, err
		}
		out[resp.Index] = resp
	}
	return out, nil
}

// GenerateN yields n answers to req as they finish, from m's own batch where it
// has one. See BatchModel for the contract.
func GenerateN(ctx context.Context, m Model, req Request, n int) iter.Seq2[Response, error] {
	if b, ok := As[BatchModel](m); ok {
		return b.GenerateN(ctx, req, n)
	}
	return func(yield func(Response, error) bool) {
		for i := range n {
			resp, err := Collect(ctx, m, withSeed(req, i))
			resp.Index = i
			if !yield(resp, err) || err != nil {
				return
			}
		}
	}
}

// withSeed gives sample i a seed of its own, as BatchModel promises.
func withSeed(req Request, i int) Request {
	if req.Sampling.Seed != nil {
		req.Sampling.Seed = new(*req.Sampling.Seed + int64(i))
	}
	return req
}
