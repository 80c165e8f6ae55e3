// Package anthropic asks Anthropic's models over their Messages API.
//
// Call New; the Model that it returns is a llm.Model. There is no retry in here:
// errors that are worth another try have the method Retryable.
package anthropic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	api "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"retort/llm"
	"retort/remote"
)

// DefaultURL is the address of Anthropic's own service.
const DefaultURL = "https://api.anthropic.com"

// Model is one model of the service: a llm.Model. It holds no connection.
type Model struct{ e *remote.Endpoint }

// New returns the model that opts describe. It does not connect.
func New(opts remote.Options) (*Model, error) {
	e, err := remote.NewEndpoint(opts, "anthropic", DefaultURL)
	if err != nil {
		return nil, err
	}
	return &Model{e}, nil
}

// ID implements llm.Model.
func (m *Model) ID() string { return m.e.ID }

// String returns the ID, so that no way of printing m shows more.
func (m *Model) String() string { return m.e.ID }

// Describe implements llm.Describer. The third generation of models cannot be
// bound to a schema.
func (m *Model) Describe() llm.Description {
	return llm.Description{ContextSize: m.e.ContextSize, Local: m.e.Local(), Images: m.e.Images, Tools: true,
		Formats: !strings.HasPrefix(m.e.Model, "claude-3-")}
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
	params, warnings, err := m.params(req)
	if err != nil {
		return err
	}
	c := m.e.Call(func(h http.Header, key string) { h.Set("X-Api-Key", key) })
	defer c.Close()
	client := api.NewClient(option.WithoutEnvironmentDefaults(), option.WithBaseURL(m.e.URL()), option.WithHTTPClient(c), option.WithMaxRetries(0))
	a := answer{warnings: warnings, start: time.Now()}
	stream := client.Messages.NewStreaming(ctx, params)
	if err := stream.Err(); err != nil {
		return c.Refused(ctx, err, words)
	}
	for stream.Next() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		text, done, err := a.take(stream.Current())
		switch {
		case err != nil:
			return c.Broken(ctx, 0, err)
		case done:
			return a.end(ctx, c, yield)
		case text != "" && !yield(llm.Text{Delta: text}, nil):
			return nil
		}
	}
	if err := stream.Err(); err != nil {
		return broken(ctx, c, err)
	}
	return c.Ended(ctx)
}

// problem is the body of a refusal, and an error in the middle of a stream.
type problem struct {
	Error struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
}

// words returns what the service said, from the SDK's errors.
func words(err error) string {
	p, raw := said(err)
	if p.Error.Message != "" {
		return p.Error.Message
	}
	return raw
}

func said(err error) (p problem, raw string) {
	var e *api.Error
	if !errors.As(err, &e) {
		return p, ""
	}
	raw = e.RawJSON()
	_ = json.Unmarshal([]byte(raw), &p) // no JSON: raw is all there is
	return p, raw
}

// statusOf is the status that each kind of error has outside of a stream.
var statusOf = map[string]int{
	"invalid_request_error": http.StatusBadRequest, "authentication_error": http.StatusUnauthorized,
	"billing_error": http.StatusPaymentRequired, "permission_error": http.StatusForbidden, "not_found_error": http.StatusNotFound,
	"request_too_large": http.StatusRequestEntityTooLarge, "rate_limit_error": http.StatusTooManyRequests,
	"api_error": http.StatusInternalServerError, "timeout_error": http.StatusGatewayTimeout, "overloaded_error": 529,
}

// broken turns an error in the middle of a stream into one that says whose it is.
func broken(ctx context.Context, c *remote.Call, err error) error {
	p, raw := said(err)
	if raw == "" {
		return c.Broken(ctx, 0, err)
	}
	status := statusOf[p.Error.Type]
	if status == 0 {
		status = http.StatusOK
	}
	return c.Broken(ctx, status, errors.New(words(err)))
}
