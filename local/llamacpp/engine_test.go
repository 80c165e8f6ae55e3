package llamacpp

import (
	"os"
	"path/filepath"
	"testing"

	"retort/llm"
)

// The models of the test home.
const (
	smol  = "smollm2-135m-instruct"
	gemma = "gemma-3-270m"
)

// testHome returns the folder with the engine and the starter models. Its
// layout is the one of a user's data folder.
func testHome(t testing.TB) string {
	t.Helper()
	home := os.Getenv("RETORT_TEST_HOME")
	if home == "" {
		t.Skip("RETORT_TEST_HOME names no folder with an engine and models")
	}
	return home
}

func testEngine(t testing.TB) *Engine {
	t.Helper()
	e, err := Load(filepath.Join(testHome(t), "engine"))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func testFile(t testing.TB, id string) string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(testHome(t), "models", id, "*.gguf"))
	if len(files) != 1 {
		t.Fatalf("%d GGUF files of %s, want 1", len(files), id)
	}
	return files[0]
}

func testModel(t testing.TB, id string, opts Options) *Model {
	t.Helper()
	m, err := testEngine(t).Open(t.Context(), testFile(t, id), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func TestSmoke(t *testing.T) {
	for _, id := range []string{smol, gemma} {
		m := testModel(t, id, Options{Threads: 0})
		req := llm.Request{Messages: []llm.Message{llm.User("What is the capital of France?")}, Sampling: llm.Sampling{Temperature: new(0.0), MaxOutputTokens: 20}, Logprobs: 1}
		r, err := llm.Collect(t.Context(), m, req)
		t.Logf("%q %v %+v", r.Text, err, r.Usage)
		sum := 0.0
		for _, l := range r.Logprobs {
			sum += l.Logprob
		}
		sc, err := m.Score(t.Context(), req, []string{r.Text, " Paris", "London", "Par"})
		t.Log(sum, sc, err)
		rs, err := llm.CollectN(t.Context(), m, llm.Request{Messages: req.Messages, Sampling: llm.Sampling{Seed: new(int64(1)), MaxOutputTokens: 8}}, 8)
		for _, r := range rs {
			t.Logf("%q %+v", r.Text, r.Usage)
		}
		tk, err := m.Tokenize(req.Messages, "Paris")
		t.Log(tk, err, testEngine(t).Info())
	}
}
