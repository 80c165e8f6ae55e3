package openai_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/remote/openai"
)

var hello = llm.Request{Messages: []llm.Message{llm.User("hello")}}

func ExampleNew() {
	model, err := openai.New(openai.Options{
		ID:      "mistral/mistral-small",
		BaseURL: "https://api.mistral.ai/v1",
		Key:     func() string { return os.Getenv("MISTRAL_API_KEY") },
		Model:   "mistral-small-latest",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(model.ID())
	// Output: mistral/mistral-small
}

func TestModel_passesTheExam(t *testing.T) {
	for name, f := range map[string]*fake{"current": {logprobs: true}, "without logprobs": {}} {
		t.Run(name, func(t *testing.T) {
			llmtest.TestModel(t, func(t *testing.T) llm.Model { return f.model(t) }, llmtest.Options{})
		})
	}
}

func TestNew_refusesBadOptions(t *testing.T) {
	for name, opts := range map[string]openai.Options{
		"no model":   {},
		"no scheme":  {Model: "m", BaseURL: "api.example.com/v1"},
		"not http":   {Model: "m", BaseURL: "file:///etc/passwd"},
		"password":   {Model: "m", BaseURL: "https://me:" + canary + "@api.example.com"},
		"query":      {Model: "m", BaseURL: "https://api.example.com/?key=" + canary},
		"unreadable": {Model: "m", BaseURL: "https://" + canary + "\x00"},
	} {
		if _, err := openai.New(opts); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if m, err := openai.New(openai.Options{Model: "gpt-5-mini"}); err != nil || m.ID() != "openai/gpt-5-mini" {
		t.Errorf("defaults: %v, error %v", m, err)
	}
}

func TestGenerate_mapsTheRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		req      llm.Request
		want     map[string]any // beside model, messages, stream and stream_options
		warnings []string
	}{
		"defaults": {hello, map[string]any{}, nil},
		"all sampling": {llm.Request{Messages: hello.Messages, Sampling: llm.Sampling{
			Temperature: new(0.0), TopP: new(0.9), Seed: new(int64(-42)), MaxOutputTokens: 17, Stop: []string{"\n\n", "END"}}},
			map[string]any{"temperature": 0.0, "top_p": 0.9, "seed": -42.0, "max_tokens": 17.0, "stop": []any{"\n\n", "END"}}, nil},
		"what cannot be said": {llm.Request{Messages: hello.Messages, Logprobs: 30,
			Sampling: llm.Sampling{Temperature: new(0.7), TopK: new(5), MinP: new(0.05)}},
			map[string]any{"temperature": 0.7, "logprobs": true, "top_logprobs": 20.0},
			[]string{"top_k: not in the OpenAI chat format", "min_p: not in the OpenAI chat format", "logprobs: 20 alternatives instead of 30"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{logprobs: true}
			resp, err := llm.Collect(t.Context(), f.model(t), tc.req)
			if err != nil {
				t.Fatal(err)
			}
			tc.want["model"], tc.want["stream"] = "tiny-1", true
			tc.want["stream_options"] = map[string]any{"include_usage": true}
			tc.want["messages"] = []any{map[string]any{"role": "user", "content": "hello"}}
			if diff := cmp.Diff(tc.want, f.lastBody()); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.warnings, resp.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGenerate_namesTheLimitByHost sends to OpenAI's own host name, which a
// transport of the test answers.
func TestGenerate_namesTheLimitByHost(t *testing.T) {
	f := &fake{}
	local := f.options(t)
	m, err := openai.New(openai.Options{Model: "gpt-5", HTTPClient: &http.Client{Transport: reroute{local}}})
	if err != nil {
		t.Fatal(err)
	}
	req := llm.Request{Messages: hello.Messages, Sampling: llm.Sampling{MaxOutputTokens: 9}}
	if _, err := llm.Collect(t.Context(), m, req); err != nil {
		t.Fatal(err)
	}
	if got := f.lastBody(); got["max_completion_tokens"] != 9.0 || got["max_tokens"] != nil {
		t.Errorf("body %v, want max_completion_tokens alone", got)
	}
}

type reroute struct{ to openai.Options }

func (r reroute) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Scheme = "http"
	req.URL.Host = strings.TrimSuffix(strings.TrimPrefix(r.to.BaseURL, "http://"), "/v1")
	return r.to.HTTPClient.Transport.RoundTrip(req)
}

func TestGenerate_readsTheAnswer(t *testing.T) {
	half := `{"token":"\\xc3","logprob":-0.1,"bytes":[195],"top_logprobs":[{"token":"\\xc3","logprob":-0.1,"bytes":[195]}]}`
	rest := `{"token":"\\xa9","logprob":-0.2,"bytes":[169],"top_logprobs":[]}`
	f := &fake{chat: func(w http.ResponseWriter, _ *http.Request) {
		body(": queued\n\nevent: message\nid: 1\n")(w, nil)
		send(w, opening, chunk(`{"content":""}`, `{"content":[`+half+`]}`, ""), chunk(`{"content":"é"}`, `{"content":[`+rest+`]}`, ""),
			chunk(`{"content":"!"}`, "", "length"), usage(12, 3), "[DONE]")
	}}
	got, err := llm.Collect(t.Context(), f.model(t), llm.Request{Messages: hello.Messages, Logprobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got.Timing.Total < got.Timing.FirstToken || got.Timing.FirstToken <= 0 {
		t.Errorf("timing %+v, want a first token before the end", got.Timing)
	}
	got.Timing = llm.Timing{}
	want := llm.Response{
		Text: "é!",
		Logprobs: []llm.TokenLogprob{
			{Token: "\xc3", Logprob: -0.1, Top: []llm.TokenLogprob{{Token: "\xc3", Logprob: -0.1}}},
			{Token: "\xa9", Logprob: -0.2}},
		FinishReason: llm.FinishLength,
		Usage:        llm.Usage{InputTokens: 12, CachedTokens: 1, OutputTokens: 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestGenerate_endings(t *testing.T) {
	for name, tc := range map[string]struct {
		chat   http.HandlerFunc
		reason llm.FinishReason
		warns  bool // that there is no usage
	}{
		"all of it":              {records(text("hi"), finish("stop"), usage(1, 1), "[DONE]"), llm.FinishStop, false},
		"no [DONE]":              {records(text("hi"), finish("stop"), usage(1, 1)), llm.FinishStop, false},
		"no usage":               {records(text("hi"), finish("stop"), "[DONE]"), llm.FinishStop, true},
		"cut after the reason":   {records(text("hi"), finish("length")), llm.FinishLength, true},
		"usage beside the end":   {records(text("hi"), strings.Replace(finish("eos"), `"usage":null`, `"usage":{"prompt_tokens":1,"completion_tokens":1}`, 1), "[DONE]"), llm.FinishStop, false},
		"another name for tools": {records(text("hi"), finish("function_call"), usage(1, 1), "[DONE]"), llm.FinishToolCalls, false},
		"withheld":               {records(text("hi"), finish("content_filter"), usage(1, 1), "[DONE]"), llm.FinishContentFilter, false},
		"refused in words":       {records(text("hi"), chunk(`{"refusal":"I can't"}`, "", "stop"), usage(1, 1), "[DONE]"), llm.FinishContentFilter, false},
		"many keep-alives":       {body(strings.Repeat(": keep-alive\n\n", 5000) + "data: " + text("hi") + "\r\n\r\ndata:" + finish("stop") + "\n\ndata: [DONE]\n\n"), llm.FinishStop, true},
		"a sent U+FFFD":          {records(`{"choices":[{"delta":{"content":"\uFFFD"}}]}`, finish("stop"), usage(1, 1)), llm.FinishStop, false},
	} {
		resp, err := llm.Collect(t.Context(), (&fake{chat: tc.chat}).model(t), hello)
		if err != nil || resp.FinishReason != tc.reason || resp.Text == "" {
			t.Errorf("%s: %+v, error %v; want %q", name, resp, err, tc.reason)
		}
		if warns := strings.Contains(strings.Join(resp.Warnings, " "), "usage"); warns != tc.warns {
			t.Errorf("%s: warnings %q", name, resp.Warnings)
		}
	}
}

func TestGenerate_wholeWhateverTheChunks(t *testing.T) {
	const answer = "naïve 日本語 🜛 done"
	f := &fake{chat: func(w http.ResponseWriter, _ *http.Request) {
		for _, r := range []string{text(answer[:10]), text(answer[10:]), finish("stop"), usage(1, 1), "[DONE]"} {
			for _, b := range []byte("data: " + r + "\n\n") { // byte by byte: every rune and record is cut
				w.Write([]byte{b})
				w.(http.Flusher).Flush()
			}
		}
	}}
	resp, err := llm.Collect(t.Context(), f.model(t), hello)
	if err != nil || resp.Text != answer {
		t.Errorf("answer %q, error %v; want %q", resp.Text, err, answer)
	}
}

// TestGenerate_letsGo stops an answer that hangs and waits for the service to see
// the connection close.
func TestGenerate_letsGo(t *testing.T) {
	for name, tc := range map[string]struct {
		first  string // sent before the hang
		cancel bool   // stop by the context, not by breaking out
	}{
		"cancel before headers": {"", true},
		"cancel mid-stream":     {text("a "), true},
		"break mid-stream":      {text("a "), false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			released := make(chan struct{})
			f := &fake{chat: func(w http.ResponseWriter, r *http.Request) {
				defer close(released)
				if tc.first != "" {
					send(w, tc.first)
				} else {
					cancel()
				}
				<-r.Context().Done()
			}}
			var last error
			for _, err := range f.model(t).Generate(ctx, hello) {
				if last = err; !tc.cancel {
					break
				}
				cancel()
			}
			if tc.cancel != errors.Is(last, context.Canceled) {
				t.Errorf("error %v", last)
			}
			select {
			case <-released:
			case <-time.After(5 * time.Second):
				t.Error("the connection is still open")
			}
		})
	}
}
