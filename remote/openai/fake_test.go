package openai_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/remote/openai"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary is the key of every test: it must come back in nothing that can be read.
const canary = "canary-7f3a91c2e5"

// fake is a service that speaks OpenAI's wire format. Its answers come from a
// script; chat replaces the whole handler.
type fake struct {
	script   llmtest.Script
	logprobs bool
	chat     http.HandlerFunc

	mu   sync.Mutex
	keys []string       // Authorization of each call
	body map[string]any // of the last call
}

// model starts f and returns a model of it.
func (f *fake) model(t *testing.T) *openai.Model {
	t.Helper()
	m, err := openai.New(f.options(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (f *fake) options(t *testing.T) openai.Options {
	t.Helper()
	srv := httptest.NewServer(f)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
	})
	return openai.Options{ID: "fake/tiny", BaseURL: srv.URL + "/v1", Key: openai.NewSecret(canary), Model: "tiny-1",
		HTTPClient: &http.Client{Transport: transport}}
}

func (f *fake) lastBody() map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.body)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	f.keys = append(f.keys, r.Header.Get("Authorization"))
	f.body = nil
	_ = json.Unmarshal(raw, &f.body)
	f.mu.Unlock()
	switch {
	case r.URL.Path != "/v1/chat/completions":
		http.NotFound(w, r)
	case f.chat != nil:
		f.chat(w, r)
	default:
		f.answer(w, r, raw)
	}
}

// wireChat is a chat request as the service reads it.
type wireChat struct {
	Messages    []llm.Message `json:"messages"`
	MaxTokens   int           `json:"max_tokens"`
	Stop        []string      `json:"stop"`
	Logprobs    bool          `json:"logprobs"`
	TopLogprobs int           `json:"top_logprobs"`
}

// answer streams the script's answer as OpenAI would.
func (f *fake) answer(w http.ResponseWriter, r *http.Request, raw []byte) {
	var in wireChat
	if err := json.Unmarshal(raw, &in); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	req := llm.Request{Messages: in.Messages, Sampling: llm.Sampling{MaxOutputTokens: in.MaxTokens, Stop: in.Stop}}
	send(w, opening)
	for ev, err := range f.script.Generate(r.Context(), req) {
		switch ev := ev.(type) {
		case llm.Text:
			var probs string
			if in.Logprobs && f.logprobs {
				probs = fmt.Sprintf(`{"content":[{"token":%q,"logprob":-0.5,"bytes":null,"top_logprobs":[%s]}]}`,
					ev.Delta, strings.Repeat(`{"token":"x","logprob":-1,"bytes":null},`, in.TopLogprobs-1)+`{"token":"y","logprob":-2,"bytes":[121]}`)
			}
			send(w, chunk(fmt.Sprintf(`{"content":%q}`, ev.Delta), probs, ""))
		case llm.Done:
			send(w, chunk(`{}`, "", string(ev.FinishReason)), usage(ev.Usage.InputTokens, ev.Usage.OutputTokens), "[DONE]")
		default:
			send(w, fmt.Sprintf(`{"error":{"message":%q}}`, err))
		}
	}
}

const head = `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795341600,"model":"tiny-1","system_fingerprint":"fp_1",`

var opening = chunk(`{"role":"assistant","content":"","refusal":null}`, "", "")

func chunk(delta, logprobs, reason string) string {
	if logprobs == "" {
		logprobs = "null"
	}
	if reason = fmt.Sprintf("%q", reason); reason == `""` {
		reason = "null"
	}
	return head + fmt.Sprintf(`"choices":[{"index":0,"delta":%s,"logprobs":%s,"finish_reason":%s}],"usage":null}`, delta, logprobs, reason)
}

func text(s string) string { return chunk(fmt.Sprintf(`{"content":%q}`, s), "", "") }

func finish(reason string) string { return chunk(`{}`, "", reason) }

func usage(in, out int) string {
	return head + fmt.Sprintf(`"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,`+
		`"prompt_tokens_details":{"cached_tokens":1,"audio_tokens":0}}}`, in, out, in+out)
}

// send sends records as server-sent events, each at once.
func send(w http.ResponseWriter, records ...string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	for _, r := range records {
		fmt.Fprintf(w, "data: %s\n\n", r)
		w.(http.Flusher).Flush()
	}
}

// records is a chat that sends records and then closes cleanly.
func records(rs ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { send(w, rs...) }
}

// body is a chat that sends s as it stands.
func body(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
}

func status(code int, message string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		fail(w, code, message)
	}
}

func fail(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"error":{"message":%q,"type":"some_error","param":null,"code":"some_code"}}`, message)
}

// reset cuts the connection in the middle of a record.
func reset(w http.ResponseWriter, _ *http.Request) {
	send(w, text("half "))
	io.WriteString(w, `data: {"choices":[{"delta":{"con`)
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// last returns the error that a sequence ends with. Unlike llm.Collect it adds
// none of its own.
func last(events iter.Seq2[llm.Event, error]) (err error) {
	for _, err = range events {
	}
	return err
}
