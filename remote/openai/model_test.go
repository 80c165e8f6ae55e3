package openai_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/llm"
	"retort/remote"
	"retort/remote/openai"
	"retort/remote/remotetest"
)

var hello = remotetest.Hello

func ExampleNew() {
	model, err := openai.New(openai.Options{Options: remote.Options{
		ID:      "mistral/mistral-small",
		BaseURL: "https://api.mistral.ai/v1",
		Key:     func() string { return os.Getenv("MISTRAL_API_KEY") },
		Model:   "mistral-small-latest",
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(model.ID())
	// Output: mistral/mistral-small
}

func TestNew_refusesAnUnknownDialect(t *testing.T) {
	_, err := openai.New(openai.Options{Options: remote.Options{Model: "m"}, Dialect: "klingon"})
	if err == nil || !strings.Contains(err.Error(), "klingon") || !strings.Contains(err.Error(), "llama-server") {
		t.Errorf("error %v", err)
	}
}

// open starts a fake that answers and returns a model of it in dialect.
func open(t *testing.T, dialect string, change func(*remote.Options)) (*openai.Model, *remotetest.Fake) {
	t.Helper()
	f := &remotetest.Fake{Wire: wire}
	opts := f.Start(t)
	if change != nil {
		change(&opts)
	}
	m, err := openai.New(openai.Options{Options: opts, Dialect: dialect})
	if err != nil {
		t.Fatal(err)
	}
	return m, f
}

// TestGenerate_dialects sends the same request in each dialect. Everything that
// it asks for is in the body or in a warning.
func TestGenerate_dialects(t *testing.T) {
	req := llm.Request{Messages: hello.Messages, Logprobs: 30, Sampling: llm.Sampling{Temperature: new(0.0), TopP: new(0.9),
		TopK: new(5), MinP: new(0.05), Seed: new(int64(42)), MaxOutputTokens: 17, Stop: []string{"\n\n", "END"}}}
	for name, tc := range map[string]struct {
		body     map[string]any
		warnings []string
	}{
		"openai": {map[string]any{"max_completion_tokens": 17.0, "seed": 42.0, "logprobs": true, "top_logprobs": 20.0},
			[]string{"top_k: the service takes none", "min_p: the service takes none", "logprobs: 20 alternatives instead of 30", "logprobs: the service gave none"}},
		"mistral": {map[string]any{"max_tokens": 17.0, "random_seed": 42.0, "stream_options": nil},
			[]string{"top_k: the service takes none", "min_p: the service takes none", "logprobs: the service gives none"}},
		"together": {map[string]any{"max_tokens": 17.0, "seed": 42.0, "top_k": 5.0, "min_p": 0.05},
			[]string{"logprobs: the service gives none"}},
		"huggingface": {map[string]any{"max_tokens": 17.0, "seed": 42.0, "logprobs": true, "top_logprobs": 5.0},
			[]string{"top_k: the service takes none", "min_p: the service takes none", "logprobs: 5 alternatives instead of 30", "logprobs: the service gave none"}},
		"deepseek": {map[string]any{"max_tokens": 17.0, "logprobs": true, "top_logprobs": 20.0},
			[]string{"seed: the service takes none", "top_k: the service takes none", "min_p: the service takes none", "logprobs: 20 alternatives instead of 30", "logprobs: the service gave none"}},
		"vllm": {map[string]any{"max_tokens": 17.0, "seed": 42.0, "top_k": 5.0, "min_p": 0.05, "logprobs": true, "top_logprobs": 20.0},
			[]string{"logprobs: 20 alternatives instead of 30", "logprobs: the service gave none"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, f := open(t, name, nil)
			resp, err := llm.Collect(t.Context(), m, req)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"model": "tiny-1", "stream": true, "temperature": 0.0, "top_p": 0.9, "stop": []any{"\n\n", "END"},
				"messages": []any{map[string]any{"role": "user", "content": "hello"}}, "stream_options": map[string]any{"include_usage": true}}
			for k, v := range tc.body {
				if want[k] = v; v == nil {
					delete(want, k)
				}
			}
			if diff := cmp.Diff(want, f.Body()); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.warnings, resp.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDialects_areKnownByHost(t *testing.T) {
	for base, seed := range map[string]string{"https://api.mistral.ai/v1": "random_seed", "https://api.openai.com/v1": "seed"} {
		f := &remotetest.Fake{Wire: wire}
		opts := f.Start(t)
		local := opts.BaseURL
		opts.BaseURL = base
		opts.HTTPClient = &http.Client{Transport: reroute{strings.TrimPrefix(local, "http://"), opts.HTTPClient.Transport}}
		m, err := openai.New(openai.Options{Options: opts})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := llm.Collect(t.Context(), m, llm.Request{Messages: hello.Messages, Sampling: llm.Sampling{Seed: new(int64(1))}}); err != nil {
			t.Fatal(err)
		}
		if f.Body()[seed] != 1.0 {
			t.Errorf("%s: body %v, want %s", base, f.Body(), seed)
		}
	}
}

// reroute sends to another host what is meant for a service.
type reroute struct {
	host string
	via  http.RoundTripper
}

func (r reroute) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Scheme, req.URL.Host, req.URL.Path = "http", r.host, strings.TrimPrefix(req.URL.Path, "/v1")
	return r.via.RoundTrip(req)
}

func TestGenerate_refusesWhatAModelCannot(t *testing.T) {
	picture := llm.Message{Role: llm.RoleUser, Images: []llm.Image{{MediaType: "image/png", Data: []byte("x")}}}
	for name, tc := range map[string]struct {
		dialect string
		req     llm.Request
	}{
		"images":  {"openai", llm.Request{Messages: []llm.Message{picture}}},
		"grammar": {"openai", llm.Request{Messages: hello.Messages, Format: &llm.Format{Grammar: `root ::= "a"`}}},
		"schema":  {"deepseek", llm.Request{Messages: hello.Messages, Format: &llm.Format{JSONSchema: []byte(`{}`)}}},
	} {
		m, f := open(t, tc.dialect, func(o *remote.Options) { o.Images = false })
		if _, err := llm.Collect(t.Context(), m, tc.req); !errors.Is(err, llm.ErrUnsupported) || f.Body() != nil {
			t.Errorf("%s: error %v, want ErrUnsupported before anything is sent", name, err)
		}
	}
}

func TestGenerate_thinkingModelTakesNoSampling(t *testing.T) {
	m, f := open(t, "openai", func(o *remote.Options) { o.Thinks = true })
	resp, err := llm.Collect(t.Context(), m, llm.Request{Messages: hello.Messages, Sampling: llm.Sampling{Temperature: new(0.5)}})
	if err != nil || f.Body()["temperature"] != nil || len(resp.Warnings) != 1 || resp.Warnings[0] != "temperature: the model takes none" {
		t.Errorf("body %v, warnings %q, error %v", f.Body(), resp.Warnings, err)
	}
}

func TestGenerate_sendsToolsAndTheirResults(t *testing.T) {
	m, f := open(t, "", nil)
	req := llm.Request{Messages: []llm.Message{llm.User("weather?"),
		{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{ID: "c1", Name: "weather", Arguments: []byte(`{"city":"Oslo"}`)}}},
		{Role: llm.RoleTool, ToolCallID: "c1", Content: "rain"}}}
	if _, err := llm.Collect(t.Context(), m, req); err != nil {
		t.Fatal(err)
	}
	want := []any{map[string]any{"role": "user", "content": "weather?"},
		map[string]any{"role": "assistant", "tool_calls": []any{map[string]any{"id": "c1", "type": "function",
			"function": map[string]any{"name": "weather", "arguments": `{"city":"Oslo"}`}}}},
		map[string]any{"role": "tool", "tool_call_id": "c1", "content": "rain"}}
	if diff := cmp.Diff(want, f.Body()["messages"]); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}
