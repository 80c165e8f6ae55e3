// Package openai asks models over the OpenAI chat format: those of OpenAI itself
// and of every service or server that speaks the same format at another address.
//
// Call New; the Model that it returns is a llm.Model. There is no retry in here:
// errors that are worth another try have the method Retryable.
package openai

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	api "github.com/sashabaranov/go-openai"

	"retort/llm"
	"retort/remote"
)

// DefaultURL is the address of OpenAI's own service.
const DefaultURL = "https://api.openai.com/v1"

// Options says which model of which service to ask. BaseURL is the address up to
// the part before /chat/completions.
type Options struct {
	remote.Options
	Dialect string // one of Dialects; empty: by the host, and Plain for one not known
}

// Model is one model of a service: a llm.Model. It holds no connection.
type Model struct {
	e       *remote.Endpoint
	dialect dialect
}

// New returns the model that opts describe. It does not connect.
func New(opts Options) (*Model, error) {
	e, err := remote.NewEndpoint(opts.Options, "openai", DefaultURL)
	if err != nil {
		return nil, err
	}
	d, err := dialectOf(opts.Dialect, e.Host())
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", e.ID, err)
	}
	return &Model{e: e, dialect: d}, nil
}

// ID implements llm.Model.
func (m *Model) ID() string { return m.e.ID }

// String returns the ID, so that no way of printing m shows more.
func (m *Model) String() string { return m.e.ID }

// Describe implements llm.Describer.
func (m *Model) Describe() llm.Description {
	return llm.Description{ContextSize: m.e.ContextSize, Local: m.e.Local(), Images: m.e.Images, Tools: true,
		Logprobs: m.dialect.logprobs > 0 && !m.e.Thinks, Formats: m.dialect.schema}
}

// Generate implements llm.Model. Beside the errors that llm.Model speaks of, it
// yields *remote.StatusError and remote.ErrConnection.
func (m *Model) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		if err := m.generate(ctx, req, yield); err != nil {
			yield(nil, fmt.Errorf("generate %q: %w", m.e.ID, err))
		}
	}
}

func (m *Model) generate(ctx context.Context, req llm.Request, yield func(llm.Event, error) bool) error {
	if err := req.Validate(); err != nil {
		return err
	}
	if err := m.Describe().Check(req); err != nil {
		return err
	}
	body, extra, warnings, err := m.request(req)
	if err != nil {
		return err
	}
	c := m.e.Call(func(h http.Header, key string) { h.Set("Authorization", "Bearer "+key) })
	defer c.Close() // go-openai leaves the body of a refusal open
	c.Amend, c.Line = amend(extra), plainErrors
	config := api.DefaultConfig("")
	config.BaseURL, config.HTTPClient = m.e.URL(), c
	a := answer{warnings: warnings, logprobsAsked: body.LogProbs, start: time.Now()}
	stream, err := api.NewClientWithConfig(config).CreateChatCompletionStream(ctx, body)
	if err != nil {
		return c.Refused(ctx, err, words)
	}
	for {
		raw, err := stream.RecvRaw()
		if err != nil || ctx.Err() != nil {
			return ended(ctx, c, &a, err, yield)
		}
		text, err := a.take(raw)
		if err != nil {
			return broken(ctx, c, err)
		}
		if text.Delta != "" && !yield(text, nil) {
			return nil
		}
	}
}

// ended handles the end of the stream. go-openai says io.EOF after [DONE] and
// after a mere disconnect alike, so the finish reason alone tells a whole answer.
func ended(ctx context.Context, c *remote.Call, a *answer, err error, yield func(llm.Event, error) bool) error {
	if a.reason == "" || ctx.Err() != nil {
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return c.Ended(ctx)
		}
		return broken(ctx, c, err)
	}
	calls, err := a.tools.calls()
	if err != nil {
		return c.Broken(ctx, 0, err)
	}
	for _, call := range calls {
		if !yield(call, nil) {
			return nil
		}
	}
	done, err := a.done(len(calls))
	if err != nil {
		return c.Broken(ctx, 0, err)
	}
	yield(done, nil)
	return nil
}

// words returns what the service said, from go-openai's errors.
func words(err error) string {
	var (
		said  *api.APIError
		other *api.RequestError
	)
	switch {
	case errors.As(err, &said):
		return said.Message
	case errors.As(err, &other):
		return string(other.Body)
	}
	return ""
}

// broken turns an error in the middle of a stream into one that says whose it is.
func broken(ctx context.Context, c *remote.Call, err error) error {
	var (
		said   *api.APIError
		record *recordError
	)
	switch {
	case errors.As(err, &record):
		return c.Broken(ctx, record.status, record)
	case errors.As(err, &said):
		return c.Broken(ctx, http.StatusOK, errors.New(said.Message))
	}
	return c.Broken(ctx, 0, err)
}
