package ollama

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/ollama/ollama/api"

	"retort/llm"
)

// Model is one model of a server: a llm.Model. It reads the model's own stop
// texts once, so take a new Model after Client.Create has replaced the old one.
type Model struct {
	client *Client
	name   string
	facts  atomic.Pointer[facts]
}

// facts is what the server knows of a model.
type facts struct{ stop []string }

// Model returns the model that the server calls name ("qwen3:8b"). It does not
// ask the server; Generate reports one that is missing or not allowed.
func (c *Client) Model(name string) *Model { return &Model{client: c, name: name} }

// ID implements llm.Model.
func (m *Model) ID() string { return "ollama/" + m.name }

// Describe implements llm.Describer. Local is false where cloud models are
// allowed, since any name may then stand for one.
func (m *Model) Describe() llm.Description {
	return llm.Description{Local: m.client.local && !m.client.allowCloud}
}

// Generate implements llm.Model. Beside the errors that llm.Model speaks of, it
// yields ErrModelNotFound, ErrNotRunning, ErrCloudModel and *StatusError.
func (m *Model) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		if err := m.generate(ctx, req, yield); err != nil {
			yield(nil, fmt.Errorf("generate %q: %w", m.ID(), err))
		}
	}
}

func (m *Model) generate(ctx context.Context, req llm.Request, yield func(llm.Event, error) bool) error {
	if err := req.Validate(); err != nil {
		return err
	}
	if err := (llm.Description{}).Check(req); err != nil {
		return err
	}
	a := answer{ctx: ctx, yield: yield, asked: req.Logprobs, allowCloud: m.client.allowCloud, start: time.Now()}
	f, err := m.look(ctx)
	if err != nil {
		return err
	}
	err = m.client.api.Chat(ctx, chatRequest(m.name, req, f.stop), a.take)
	return m.client.verdict(ctx, err)
}

// verdict tells how a chat ended. api.Client returns nil for a body that merely
// ended, were it by a reset, a line beyond its buffer or a cancelled context:
// only errEnough, which take returns after the last event, is a regular end.
func (c *Client) verdict(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errEnough):
		return nil
	case errors.Is(err, ErrCloudModel), errors.Is(err, llm.ErrIncomplete):
		return err
	case err == nil && ctx.Err() == nil:
		return llm.ErrIncomplete
	}
	err = c.cause(ctx, err)
	var status *StatusError
	if ctx.Err() != nil || errors.As(err, &status) || errors.Is(err, ErrNotRunning) {
		return err
	}
	return fmt.Errorf("%w: %w", llm.ErrIncomplete, err)
}

// look returns what the server knows of the model, and refuses one that runs
// elsewhere before anything of a conversation is sent.
func (m *Model) look(ctx context.Context) (*facts, error) {
	if !m.client.allowCloud && isCloudName(m.name) {
		return nil, refuseCloud()
	}
	if f := m.facts.Load(); f != nil {
		return f, nil
	}
	resp, err := m.client.api.Show(ctx, &api.ShowRequest{Model: m.name})
	if err != nil {
		return nil, m.client.cause(ctx, err)
	}
	if resp.RemoteHost != "" && !m.client.allowCloud {
		return nil, refuseCloud()
	}
	f := &facts{stop: stopTexts(resp.Parameters)}
	m.facts.Store(f)
	return f, nil
}

func refuseCloud() error {
	return hinted{ErrCloudModel, "choose a local model, or allow cloud models in the configuration"}
}

// answer turns the server's records into events.
type answer struct {
	ctx        context.Context
	yield      func(llm.Event, error) bool
	asked      int // alternatives per token
	allowCloud bool
	start      time.Time

	first     time.Duration // to the first token, once there is one
	logprobs  []llm.TokenLogprob
	given     bool // some log-probabilities came
	toolCalls bool
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
	if text := r.Message.Content; text != "" {
		ev := llm.Text{Delta: text, Logprobs: a.logprobs}
		a.logprobs = nil
		if !a.yield(ev, nil) {
			return errEnough
		}
	}
	if !r.Done {
		return nil
	}
	reason, err := finishReason(r, a.toolCalls)
	if err != nil {
		return err
	}
	a.yield(a.done(r, reason), nil)
	return errEnough
}

func (a *answer) note(r api.ChatResponse) {
	if a.first == 0 && !r.Done {
		a.first = time.Since(a.start)
	}
	a.toolCalls = a.toolCalls || len(r.Message.ToolCalls) > 0
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
