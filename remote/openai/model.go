// Package openai asks models over the OpenAI chat format: those of OpenAI itself
// and of every service or server that speaks the same format at another address.
//
// Call New; the Model that it returns is a llm.Model. There is no retry in here:
// a caller that wants one finds what it needs in StatusError and ErrConnection.
package openai

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	api "github.com/sashabaranov/go-openai"

	"retort/llm"
)

// DefaultURL is the address of OpenAI's own service.
const DefaultURL = "https://api.openai.com/v1"

// Options says which model of which service to ask.
type Options struct {
	// ID is the Model's ID ("mistral/mistral-small"); what stands before the slash
	// names the provider in errors. Empty means "openai/" and Model.
	ID         string
	BaseURL    string       // up to the part before /chat/completions; empty means DefaultURL
	Key        Secret       // sent to BaseURL's host alone; nil for a service that wants none
	Model      string       // what the service calls the model; required
	HTTPClient *http.Client // nil means one without a time limit
}

// Model is one model of a service: a llm.Model. It holds no connection.
type Model struct {
	id, name string
	base     *url.URL
	key      Secret
	http     *http.Client
}

// New returns the model that opts describe. It does not connect.
func New(opts Options) (*Model, error) {
	if opts.Model == "" {
		return nil, errors.New("openai: no model named")
	}
	if opts.ID == "" {
		opts.ID = "openai/" + opts.Model
	}
	if opts.BaseURL == "" {
		opts.BaseURL = DefaultURL
	}
	base, err := url.Parse(opts.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("model %q: base URL is not an http address", opts.ID)
	}
	if base.User != nil || base.RawQuery != "" {
		return nil, fmt.Errorf("model %q: base URL holds more than an address; give the key apart", opts.ID)
	}
	client := http.Client{}
	if opts.HTTPClient != nil {
		client = *opts.HTTPClient
	}
	client.CheckRedirect = sameHost(base)
	return &Model{id: opts.ID, name: opts.Model, base: base, key: opts.Key, http: &client}, nil
}

// sameHost allows redirects that neither leave the host nor drop its encryption,
// so that neither key nor conversation reaches anybody else.
func sameHost(base *url.URL) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if req.URL.Scheme != base.Scheme || req.URL.Host != base.Host || len(via) > 3 {
			return fmt.Errorf("redirect to %s://%s refused", req.URL.Scheme, req.URL.Host)
		}
		return nil
	}
}

// ID implements llm.Model.
func (m *Model) ID() string { return m.id }

// String returns the ID, so that no way of printing m shows more.
func (m *Model) String() string { return m.id }

func (m *Model) provider() string {
	p, _, _ := strings.Cut(m.id, "/")
	return p
}

// Generate implements llm.Model. Beside the errors that llm.Model speaks of, it
// yields *StatusError and ErrConnection.
func (m *Model) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		if err := m.generate(ctx, req, yield); err != nil {
			yield(nil, fmt.Errorf("generate %q: %w", m.id, err))
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
	c := &call{http: m.http, key: m.key, extra: extra(req.Sampling, m.base.Hostname())}
	defer c.close() // go-openai leaves the body of a refusal open
	config := api.DefaultConfig("")
	config.BaseURL, config.HTTPClient, config.EmptyMessagesLimit = m.base.String(), c, maxBlankLines
	a := answer{asked: req.Logprobs, warnings: unsupported(req), start: time.Now()}
	stream, err := api.NewClientWithConfig(config).CreateChatCompletionStream(ctx, chatRequest(m.name, req))
	if err != nil {
		return m.refused(ctx, c, err)
	}
	for {
		raw, err := stream.RecvRaw()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return m.ended(&a, err, yield)
		}
		text, err := a.take(raw)
		if err != nil {
			return m.broken(err)
		}
		if text.Delta != "" && !yield(text, nil) {
			return nil
		}
	}
}

// ended handles the end of the stream. go-openai says io.EOF after [DONE] and
// after a mere disconnect alike, so the finish reason alone tells a whole answer.
func (m *Model) ended(a *answer, err error, yield func(llm.Event, error) bool) error {
	switch {
	case a.reason != "":
		yield(a.done(), nil)
		return nil
	case errors.Is(err, io.EOF):
		return llm.ErrIncomplete
	}
	return m.broken(err)
}
