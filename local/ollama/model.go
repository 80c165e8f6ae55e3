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

// Model is one model of a server: a llm.Model. It reads what the server knows of
// the model once, so take a new Model after Client.Create has replaced the old
// one.
type Model struct {
	client *Client
	name   string
	facts  atomic.Pointer[facts]
}

// Model returns the model that the server calls name ("qwen3:8b"). It does not
// ask the server; Generate reports one that is missing or not allowed.
func (c *Client) Model(name string) *Model { return &Model{client: c, name: name} }

// Open returns the model that the server calls name, once the server has said
// what it can do: Describe then tells. The error is ErrModelNotFound,
// ErrNotRunning, ErrCloudModel, or wraps llm.ErrUnsupported for a model that
// does not chat.
func (c *Client) Open(ctx context.Context, name string) (*Model, error) {
	m := c.Model(name)
	if _, err := m.look(ctx); err != nil {
		return nil, fmt.Errorf("open %q: %w", m.ID(), err)
	}
	return m, nil
}

// ID implements llm.Model.
func (m *Model) ID() string { return "ollama/" + m.name }

// Describe implements llm.Describer, by what the server has said last. Before
// Open or the first Generate that is nothing but Local, which is false where
// cloud models are allowed, since any name may then stand for one. ContextSize
// is known only where the model's parameters set it.
func (m *Model) Describe() llm.Description {
	if f := m.facts.Load(); f != nil {
		return f.Description
	}
	return llm.Description{Local: m.client.local && !m.client.allowCloud}
}

// Generate implements llm.Model. Beside the errors that llm.Model speaks of, it
// yields ErrModelNotFound, ErrNotRunning, ErrCloudModel, ErrAdapter and
// *StatusError.
func (m *Model) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return m.events(func(yield func(llm.Event, error) bool) error {
		if err := req.Validate(); err != nil {
			return err
		}
		f, err := m.look(ctx)
		if err != nil {
			return err
		}
		if err := f.Check(req); err != nil {
			return err
		}
		chat, err := m.client.chatRequest(m.name, req, f.stop)
		if err != nil {
			return err
		}
		a := m.answer(ctx, req.Logprobs, yield)
		return m.client.verdict(ctx, m.client.api.Chat(ctx, chat, a.take))
	})
}

// RawRequest is a prompt as the model itself reads it.
type RawRequest struct {
	Prompt   string // rendered already: the server puts no template around it
	Sampling llm.Sampling
	Logprobs int // as in llm.Request
}

// Raw continues a prompt, by the rules of Generate.
func (m *Model) Raw(ctx context.Context, req RawRequest) iter.Seq2[llm.Event, error] {
	return m.events(func(yield func(llm.Event, error) bool) error {
		as := llm.Request{Messages: []llm.Message{llm.User(req.Prompt)}, Sampling: req.Sampling, Logprobs: req.Logprobs}
		if err := as.Validate(); err != nil {
			return err
		}
		if req.Prompt == "" {
			return fmt.Errorf("%w: the prompt is empty", llm.ErrBadRequest) // the server would merely load the model
		}
		f, err := m.look(ctx)
		if err != nil {
			return err
		}
		a := m.answer(ctx, req.Logprobs, yield)
		err = m.client.api.Generate(ctx, &api.GenerateRequest{
			Model:       m.name,
			Prompt:      req.Prompt,
			Raw:         true,
			Options:     options(req.Sampling, f.stop),
			KeepAlive:   m.client.keepAlive,
			Truncate:    new(false),
			Shift:       new(false),
			Logprobs:    req.Logprobs > 0,
			TopLogprobs: min(req.Logprobs, maxLogprobs),
		}, func(r api.GenerateResponse) error { return a.take(chatRecord(r)) })
		return m.client.verdict(ctx, err)
	})
}

// events makes a sequence of what run yields and of the error it ends with.
func (m *Model) events(run func(yield func(llm.Event, error) bool) error) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		defer m.client.begin(m.name)()
		if err := run(yield); err != nil {
			yield(nil, fmt.Errorf("generate %q: %w", m.ID(), err))
		}
	}
}

func (m *Model) answer(ctx context.Context, logprobs int, yield func(llm.Event, error) bool) *answer {
	return &answer{ctx: ctx, yield: yield, asked: logprobs, allowCloud: m.client.allowCloud, start: time.Now(),
		end: func(took api.Metrics) { m.client.learn(m.name, took, time.Now()) }}
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
