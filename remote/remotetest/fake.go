// Package remotetest has what tests of remote adapters share: a fake service that
// speaks the wire format it is given, and Faults, the exam in bad behaviour that
// every adapter passes.
package remotetest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/remote"
)

// Canary is the key of every test: it must come back in nothing that can be read.
const Canary = "canary-7f3a91c2e5"

// Wire is a provider's wire format, as its documentation has it. The strings are
// whole server-sent events, their empty lines included.
type Wire struct {
	Path    string // of the request for an answer
	Key     func(http.Header) string
	Parse   func(body []byte) (llm.Request, error)
	Open    string
	Text    func(delta string) string
	Call    func(llm.ToolCall) string
	Close   func(llm.FinishReason, llm.Usage) string
	Failure func(message string) string             // an error in place of an event
	Refusal func(status int, message string) string // the body that comes with an error status
}

// Fake is a service that answers from a script; Chat replaces the answer.
type Fake struct {
	Wire   Wire
	Script llmtest.Script
	Chat   http.HandlerFunc

	mu   sync.Mutex
	keys []string
	body map[string]any
}

// Start runs f and returns options that lead to it.
func (f *Fake) Start(t *testing.T) remote.Options {
	t.Helper()
	srv := httptest.NewServer(f)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
	})
	return remote.Options{ID: "fake/tiny", BaseURL: srv.URL, Key: remote.NewSecret(Canary), Model: "tiny-1", Images: true,
		HTTPClient: &http.Client{Transport: transport}}
}

// Body is the last request's body.
func (f *Fake) Body() map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.body)
}

// Keys are the keys that came with the requests so far.
func (f *Fake) Keys() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.keys...)
}

// ServeHTTP implements http.Handler.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	f.keys = append(f.keys, f.Wire.Key(r.Header))
	f.body = nil
	_ = json.Unmarshal(raw, &f.body)
	f.mu.Unlock()
	switch {
	case r.Method != http.MethodPost || r.URL.Path != f.Wire.Path:
		http.NotFound(w, r)
	case f.Chat != nil:
		f.Chat(w, r)
	default:
		f.answer(w, r, raw)
	}
}

// answer does what a well-behaved service does.
func (f *Fake) answer(w http.ResponseWriter, r *http.Request, raw []byte) {
	req, err := f.Wire.Parse(raw)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, f.Wire.Refusal(http.StatusBadRequest, err.Error()))
		return
	}
	Send(w, f.Wire.Open)
	if len(req.Tools) > 0 {
		Send(w, f.Wire.Call(llm.ToolCall{ID: "call-1", Name: req.Tools[0].Name, Arguments: json.RawMessage(`{"city":"Oslo"}`)}),
			f.Wire.Close(llm.FinishToolCalls, llm.Usage{InputTokens: 20, OutputTokens: 5}))
		return
	}
	script, images := &f.Script, 0
	if req.Format != nil {
		script = &llmtest.Script{Answers: []string{`{"sure":true}`}}
	}
	for i := range req.Messages {
		images += len(req.Messages[i].Images)
		req.Messages[i] = llm.User(req.Messages[i].Content)
	}
	for ev, err := range script.Generate(r.Context(), llm.Request{Messages: req.Messages, Sampling: req.Sampling}) {
		switch ev := ev.(type) {
		case llm.Text:
			Send(w, f.Wire.Text(ev.Delta))
		case llm.Done:
			ev.Usage.InputTokens += 85 * images
			Send(w, f.Wire.Close(ev.FinishReason, ev.Usage))
		default:
			Send(w, f.Wire.Failure(err.Error()))
		}
	}
}

// Send sends events, each at once.
func Send(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range events {
		io.WriteString(w, e)
		w.(http.Flusher).Flush()
	}
}

// Events is a Chat that sends events and then closes cleanly.
func Events(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { Send(w, events...) }
}

// Data returns JSON texts as events without a name.
func Data(records ...string) string {
	var b strings.Builder
	for _, r := range records {
		fmt.Fprintf(&b, "data: %s\n\n", r)
	}
	return b.String()
}

// Status is a Chat that refuses.
func (w Wire) Status(code int, message string, header ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			rw.Header().Set(header[i], header[i+1])
		}
		rw.WriteHeader(code)
		io.WriteString(rw, w.Refusal(code, message))
	}
}
