package ollama_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/local/ollama"
	"retort/local/ollama/ollamatest"
	"retort/models/gguf/gguftest"
)

// The tests in this file ask a real server: see ollamatest.Start and `make
// test-ollama`. Their models are the starter models of RETORT_TEST_HOME.

const (
	realName = "retort-test:latest"
	chatML   = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
)

func weights(t *testing.T, id string) string {
	t.Helper()
	home := os.Getenv("RETORT_TEST_HOME")
	if home == "" {
		t.Skip("RETORT_TEST_HOME is not set")
	}
	return filepath.Join(home, "models", id, "model.gguf")
}

// real returns a client of a server with those settings that has SmolLM2 under
// realName.
func real(t *testing.T, opts ollama.Options, settings ...string) *ollama.Client {
	t.Helper()
	smol := weights(t, "smollm2-135m-instruct")
	client := start(t, opts, settings...)
	create(t, client, realName, ollama.CreateOptions{GGUF: smol, Template: chatML, Stop: []string{"<|im_end|>"}})
	return client
}

// start returns a client of a server with those settings.
func start(t *testing.T, opts ollama.Options, settings ...string) *ollama.Client {
	t.Helper()
	return connect(t, ollamatest.Start(t, settings...), opts)
}

func connect(t *testing.T, server ollamatest.Server, opts ollama.Options) *ollama.Client {
	t.Helper()
	transport := &http.Transport{}
	opts.HTTPClient = &http.Client{Transport: transport}
	client, err := ollama.New(server.URL, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return client
}

func create(t *testing.T, client *ollama.Client, name string, opts ollama.CreateOptions) {
	t.Helper()
	if err := client.Create(t.Context(), name, opts); err != nil {
		t.Fatal(err)
	}
	deleteAfter(t, client, name)
}

func deleteAfter(t *testing.T, client *ollama.Client, name string) {
	t.Cleanup(func() {
		if err := client.Delete(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
}

func TestOllama_exam(t *testing.T) {
	client := real(t, ollama.Options{})
	if !slices.ContainsFunc(list(t, client), func(m ollama.ModelInfo) bool { return m.Name == realName && m.Size > 0 && !m.Cloud() }) {
		t.Errorf("models %+v, want %q among them", list(t, client), realName)
	}
	model, err := client.Open(t.Context(), realName)
	if err != nil {
		t.Fatal(err)
	}
	if d := model.Describe(); !d.Local || !d.Logprobs || !d.Formats || d.Images || d.Tools {
		t.Errorf("description %+v, want logprobs and formats alone", d)
	}
	t.Run("exam", func(t *testing.T) {
		llmtest.TestModel(t, func(*testing.T) llm.Model { return model }, llmtest.Options{PromptTimeout: 500 * time.Millisecond})
	})
	t.Run("logprobs", func(t *testing.T) { realLogprobs(t, model) })
	t.Run("seed", func(t *testing.T) { realSeed(t, model) })
	t.Run("raw", func(t *testing.T) { realRaw(t, model) })
	t.Run("prompt too long", func(t *testing.T) {
		long := llm.Request{Messages: []llm.Message{llm.User(strings.Repeat("one two three ", 20_000))}}
		if _, err := llm.Collect(t.Context(), model, long); !errors.Is(err, llm.ErrContextOverflow) {
			t.Errorf("error %v, want ErrContextOverflow", err)
		}
	})
	if _, err := client.Open(t.Context(), "retort-ghost"); !errors.Is(err, ollama.ErrModelNotFound) {
		t.Errorf("error %v, want ErrModelNotFound", err)
	}
}

func list(t *testing.T, client *ollama.Client) []ollama.ModelInfo {
	t.Helper()
	models, err := client.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return models
}

// realLogprobs holds that a greedy answer is made of the likeliest tokens, which
// a penalty or a wrong temperature would spoil.
func realLogprobs(t *testing.T, model llm.Model) {
	req := llm.Request{Messages: hello.Messages, Logprobs: 2, Sampling: llm.Sampling{Temperature: new(0.0), MaxOutputTokens: 24}}
	resp, err := llm.Collect(t.Context(), model, req)
	if err != nil {
		t.Fatal(err)
	}
	var joined strings.Builder
	for _, lp := range resp.Logprobs {
		joined.WriteString(lp.Token)
		if len(lp.Top) != 2 || lp.Logprob < lp.Top[0].Logprob {
			t.Errorf("greedy token %q is not the likeliest of %+v", lp.Token, lp.Top)
		}
	}
	if joined.String() != resp.Text {
		t.Errorf("tokens %q, text %q", joined.String(), resp.Text)
	}
}

func realSeed(t *testing.T, model llm.Model) {
	ask := func(seed int64) string {
		resp, err := llm.Collect(t.Context(), model, llm.Request{Messages: hello.Messages,
			Sampling: llm.Sampling{Temperature: new(1.5), Seed: &seed, MaxOutputTokens: 16}})
		if err != nil {
			t.Fatal(err)
		}
		return resp.Text
	}
	if a, b, c := ask(-1), ask(-1), ask(2); a != b || a == c {
		t.Errorf("seed -1 twice: %q, %q; another: %q", a, b, c)
	}
}

// realRaw holds that a prompt that we render gives the answer of the chat.
func realRaw(t *testing.T, model *ollama.Model) {
	sampling := llm.Sampling{Temperature: new(0.0), MaxOutputTokens: 16}
	chat, err := llm.Collect(t.Context(), model, llm.Request{Messages: hello.Messages, Sampling: sampling})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := llm.Gather(model.ID(), model.Raw(t.Context(), ollama.RawRequest{Sampling: sampling, Logprobs: 1,
		Prompt: "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"}))
	if err != nil || raw.Text != chat.Text || raw.Usage.InputTokens != chat.Usage.InputTokens || len(raw.Logprobs) != raw.Usage.OutputTokens {
		t.Errorf("raw %+v, error %v; chat %+v", raw, err, chat)
	}
}

// TestOllama_tools asks a model whose template shows tools and whose prompt
// leaves it little but to call one.
func TestOllama_tools(t *testing.T) {
	client := real(t, ollama.Options{})
	const name = "retort-tools:latest"
	create(t, client, name, ollama.CreateOptions{GGUF: weights(t, "smollm2-135m-instruct"), Stop: []string{"<|im_end|>"},
		Template: `{{ if .Tools }}<|im_start|>system
Tools: {{ .Tools }}<|im_end|>
{{ end }}{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}{{ range .ToolCalls }}{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}{{ end }}<|im_end|>
{{ end }}<|im_start|>assistant
`})
	model, err := client.Open(t.Context(), name)
	if err != nil || !model.Describe().Tools {
		t.Fatalf("description %+v, error %v, want tools", model.Describe(), err)
	}
	call := llm.ToolCall{ID: "call_1", Name: "weather", Arguments: []byte(`{"city": "Paris"}`)}
	req := llm.Request{Sampling: llm.Sampling{Temperature: new(0.0), MaxOutputTokens: 40},
		Tools: []llm.Tool{{Name: "weather", Parameters: []byte(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`)}}}
	for _, city := range []string{"Paris", "Rome"} { // two shots of what is wanted
		call.Arguments = []byte(`{"city":"` + city + `"}`)
		req.Messages = append(req.Messages, llm.User("weather "+city), llm.Message{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{call}},
			llm.Message{Role: llm.RoleTool, Content: "sunny", ToolCallID: call.ID}, llm.Assistant("It is sunny."))
	}
	req.Messages = append(req.Messages, llm.User("weather Oslo"))
	resp, err := llm.Collect(t.Context(), model, req)
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.ToolCalls) != 1 || resp.FinishReason != llm.FinishToolCalls || resp.ToolCalls[0].Name != "weather" ||
		string(resp.ToolCalls[0].Arguments) != `{"city":"Oslo"}` || resp.ToolCalls[0].ID == "" {
		t.Errorf("response %+v, want a call for Oslo", resp)
	}
}

func TestOllama_adapter(t *testing.T) {
	client := real(t, ollama.Options{})
	smol := weights(t, "smollm2-135m-instruct")
	const name = "retort-adapted:latest"
	create(t, client, name, ollama.CreateOptions{GGUF: smol, Adapter: gguftest.LoRA(t, smol, 0.2), Template: chatML, Stop: []string{"<|im_end|>"}})
	for _, m := range list(t, client) {
		if strings.HasPrefix(m.Name, "retort-trial") {
			t.Errorf("%q is left behind", m.Name)
		}
	}
	req := llm.Request{Messages: hello.Messages, Sampling: llm.Sampling{Temperature: new(0.0), MaxOutputTokens: 16}}
	plain, err := llm.Collect(t.Context(), client.Model(realName), req)
	if err != nil {
		t.Fatal(err)
	}
	adapted, err := llm.Collect(t.Context(), client.Model(name), req)
	if err != nil || adapted.Text == plain.Text {
		t.Errorf("with the adapter %q, error %v; without %q: want it to matter", adapted.Text, err, plain.Text)
	}
}

// TestOllama_adapterRefused is about an architecture whose adapters the server
// finds out about when it loads them.
func TestOllama_adapterRefused(t *testing.T) {
	client := real(t, ollama.Options{})
	gemma := weights(t, "gemma-3-270m")
	err := client.Create(t.Context(), "retort-refused", ollama.CreateOptions{GGUF: gemma, Adapter: gguftest.LoRA(t, gemma, 0.2)})
	if !errors.Is(err, ollama.ErrAdapter) {
		t.Errorf("error %v, want ErrAdapter", err)
	}
	for _, m := range list(t, client) {
		if m.Name != realName {
			t.Errorf("%q is left behind", m.Name)
		}
	}
}

func TestOllama_adviceOnParallel(t *testing.T) {
	for setting, want := range map[string]string{"1": "OLLAMA_NUM_PARALLEL=4", "4": ""} {
		client := real(t, ollama.Options{}, "OLLAMA_NUM_PARALLEL="+setting)
		model := client.Model(realName)
		req := llm.Request{Messages: []llm.Message{llm.User("Tell me a long story.")}, Sampling: llm.Sampling{Temperature: new(0.7), MaxOutputTokens: 64}}
		if _, err := llm.Collect(t.Context(), model, req); err != nil { // loads it
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := llm.Collect(t.Context(), model, req); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := strings.Join(client.Advice(t.Context()), "\n")
		t.Logf("OLLAMA_NUM_PARALLEL=%s: %q", setting, got)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("OLLAMA_NUM_PARALLEL=%s: advice %q, want %q", setting, got, want)
		}
	}
}

func TestOllama_adviceOnLoadedModels(t *testing.T) {
	const other = "retort-gemma:latest"
	for _, tc := range []struct {
		setting string
		asks    []string
		want    string
	}{
		{"1", []string{realName, other}, "holds " + realName + " no longer"},
		{"1", []string{realName, other, realName}, "loaded " + realName + " again"},
		{"2", []string{realName, other, realName}, ""},
	} {
		client := real(t, ollama.Options{}, "OLLAMA_MAX_LOADED_MODELS="+tc.setting)
		create(t, client, other, ollama.CreateOptions{GGUF: weights(t, "gemma-3-270m"), Template: "{{ .Prompt }}"})
		req := llm.Request{Messages: hello.Messages, Sampling: llm.Sampling{Temperature: new(0.0), MaxOutputTokens: 4}}
		for _, name := range tc.asks {
			if _, err := llm.Collect(t.Context(), client.Model(name), req); err != nil {
				t.Fatal(err)
			}
		}
		got := strings.Join(client.Advice(t.Context()), "\n")
		t.Logf("OLLAMA_MAX_LOADED_MODELS=%s, %d requests: %q", tc.setting, len(tc.asks), got)
		if tc.want == "" && got != "" || !strings.Contains(got, tc.want) || tc.want != "" && !strings.Contains(got, "OLLAMA_MAX_LOADED_MODELS=2") {
			t.Errorf("OLLAMA_MAX_LOADED_MODELS=%s: advice %q, want %q", tc.setting, got, tc.want)
		}
	}
}
