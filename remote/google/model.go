// Package google asks Google's Gemini models over the Gemini API.
//
// Call New; the Model that it returns is a llm.Model. There is no retry in here:
// errors that are worth another try have the method Retryable.
package google

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	api "google.golang.org/genai"

	"retort/llm"
	"retort/remote"
)

// DefaultURL is the address of Google's own service.
const DefaultURL = "https://generativelanguage.googleapis.com"

// Model is one model of the service: a llm.Model. It holds no connection.
type Model struct{ e *remote.Endpoint }

// New returns the model that opts describe. It does not connect.
func New(opts remote.Options) (*Model, error) {
	e, err := remote.NewEndpoint(opts, "google", DefaultURL)
	if err != nil {
		return nil, err
	}
	return &Model{e}, nil
}

// ID implements llm.Model.
func (m *Model) ID() string { return m.e.ID }

// String returns the ID, so that no way of printing m shows more.
func (m *Model) String() string { return m.e.ID }

// Describe implements llm.Describer.
func (m *Model) Describe() llm.Description {
	return llm.Description{ContextSize: m.e.ContextSize, Local: m.e.Local(), Images: m.e.Images, Tools: true, Formats: true}
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
	contents, config, warnings, err := m.request(req)
	if err != nil {
		return err
	}
	c := m.e.Call(func(h http.Header, key string) { h.Set("X-Goog-Api-Key", key) })
	defer c.Close()
	c.Amend, c.Line = withoutKey, dataAlone
	client, err := api.NewClient(ctx, &api.ClientConfig{Backend: api.BackendGeminiAPI, APIKey: "unused", HTTPClient: c.Client(),
		HTTPOptions: api.HTTPOptions{BaseURL: m.e.URL()}})
	if err != nil {
		return fmt.Errorf("%w: %s", llm.ErrUnsupported, m.e.Scrub(err.Error()))
	}
	a := answer{warnings: warnings, start: time.Now()}
	for resp, err := range guarded(client.Models.GenerateContentStream(ctx, m.e.Model, contents, config)) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (c.Status() == 0 || c.Status() >= http.StatusBadRequest):
			return waiting(err, c.Refused(ctx, err, words))
		case err != nil:
			return broken(ctx, c, err)
		}
		text, err := a.take(resp)
		if err != nil {
			return c.Broken(ctx, 0, err)
		}
		if text != "" && !yield(llm.Text{Delta: text}, nil) {
			return nil
		}
	}
	return a.end(ctx, c, yield)
}

// withoutKey takes the key out that the SDK insists on. The real one comes after.
func withoutKey(r *http.Request) error {
	r.Header.Del("X-Goog-Api-Key")
	return nil
}

// dataAlone drops the fields of an event that the SDK takes for errors.
func dataAlone(line []byte) []byte {
	for _, field := range []string{"event:", "id:", "retry:"} {
		if bytes.HasPrefix(line, []byte(field)) {
			return nil
		}
	}
	return line
}

// guarded turns the SDK's panics into errors: it converts chunks without asking
// whether they have the shape that it expects. Panics of who ranges over the
// sequence pass.
func guarded[T any](events iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ours := false
		defer func() {
			if ours {
				return
			}
			if p := recover(); p != nil {
				var none T
				yield(none, fmt.Errorf("a chunk is not as expected: %v", p))
			}
		}()
		for v, err := range events {
			ours = true
			goOn := yield(v, err)
			ours = false
			if !goOn {
				return
			}
		}
	}
}

// words returns what the service said, from the SDK's errors.
func words(err error) string {
	var said api.APIError
	if !errors.As(err, &said) {
		return ""
	}
	return said.Message
}

// waiting puts the delay that Google states in its error's details into ours: it
// sends no Retry-After.
func waiting(theirs, ours error) error {
	var (
		said   api.APIError
		status *remote.StatusError
	)
	if !errors.As(theirs, &said) || !errors.As(ours, &status) || status.RetryAfter > 0 {
		return ours
	}
	for _, d := range said.Details {
		s, _ := d["retryDelay"].(string)
		if delay, err := time.ParseDuration(s); err == nil && delay > 0 {
			status.RetryAfter = delay
		}
	}
	return ours
}

// broken turns an error in the middle of a stream into one that says whose it is.
func broken(ctx context.Context, c *remote.Call, err error) error {
	var said api.APIError
	if !errors.As(err, &said) {
		return c.Broken(ctx, 0, err)
	}
	if said.Code < 400 || said.Code > 599 {
		said.Code = http.StatusOK
	}
	return c.Broken(ctx, said.Code, errors.New(said.Message))
}
