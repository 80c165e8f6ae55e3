package ollama_test

import (
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/local/ollama"
)

// TestReal runs against a real server. .ci/ollama.sh builds one; start
// it on loopback, then set
//
//	RETORT_TEST_OLLAMA       its base URL
//	RETORT_TEST_OLLAMA_GGUF  an instruct model, to be created and deleted again
func TestReal(t *testing.T) {
	url, gguf := os.Getenv("RETORT_TEST_OLLAMA"), os.Getenv("RETORT_TEST_OLLAMA_GGUF")
	if url == "" || gguf == "" {
		t.Skip("RETORT_TEST_OLLAMA and RETORT_TEST_OLLAMA_GGUF are not set")
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := ollama.New(url, ollama.Options{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	const name = "retort-test:latest"
	if err := client.Create(t.Context(), name, ollama.CreateOptions{GGUF: gguf}); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(list(t, client), func(m ollama.ModelInfo) bool { return m.Name == name && m.Size > 0 && !m.Cloud() }) {
		t.Errorf("models %+v, want %q among them", list(t, client), name)
	}
	model := client.Model(name)
	t.Run("conformance", func(t *testing.T) {
		llmtest.TestModel(t, func(*testing.T) llm.Model { return model }, llmtest.Options{PromptTimeout: 500 * time.Millisecond})
	})
	t.Run("logprobs", func(t *testing.T) { realLogprobs(t, model) })
	t.Run("seed", func(t *testing.T) { realSeed(t, model) })
	t.Run("prompt too long", func(t *testing.T) {
		long := llm.Request{Messages: []llm.Message{llm.User(strings.Repeat("one two three ", 20_000))}}
		if _, err := llm.Collect(t.Context(), model, long); !errors.Is(err, llm.ErrContextOverflow) {
			t.Errorf("error %v, want ErrContextOverflow", err)
		}
	})
	if err := client.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if _, err := llm.Collect(t.Context(), client.Model(name), hello); !errors.Is(err, ollama.ErrModelNotFound) {
		t.Errorf("after Delete: error %v, want ErrModelNotFound", err)
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
