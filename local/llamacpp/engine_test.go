package llamacpp

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// testModel opens a model of the test's own.
func testModel(t testing.TB, id string, opts Options) *Model {
	t.Helper()
	m, err := testEngine(t).Open(t.Context(), testFile(t, id), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// shared are the models that tests use together, opened with default options.
var shared struct {
	sync.Mutex
	models map[string]*Model
}

// sharedModel returns a model that other tests have used and will use.
func sharedModel(t testing.TB, id string) *Model {
	t.Helper()
	e, file := testEngine(t), testFile(t, id)
	shared.Lock()
	defer shared.Unlock()
	if shared.models[id] == nil {
		m, err := e.Open(t.Context(), file, Options{ID: "llamacpp/" + id})
		if err != nil {
			t.Fatal(err)
		}
		if shared.models == nil {
			shared.models = make(map[string]*Model)
		}
		shared.models[id] = m
	}
	return shared.models[id]
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, model := range shared.models {
		_ = model.Close()
	}
	os.Exit(code)
}

// greedy asks for the likeliest answer of at most n tokens.
func greedy(text string, n int) llm.Request {
	return llm.Request{
		Messages: []llm.Message{llm.User(text)},
		Sampling: llm.Sampling{Temperature: new(0.0), MaxOutputTokens: n},
	}
}

func collect(t testing.TB, m llm.Model, req llm.Request) llm.Response {
	t.Helper()
	resp, err := llm.Collect(t.Context(), m, req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestLoad_isOnePerProcess(t *testing.T) {
	e := testEngine(t)
	again, err := Load(filepath.Join(testHome(t), "engine", "."))
	if err != nil || again != e {
		t.Errorf("second Load of the same folder = %p, %v; want %p", again, err, e)
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "already runs") {
		t.Errorf("Load of another folder: %v", err)
	}
	info := e.Info()
	if len(info.Devices) == 0 || !strings.Contains(info.Features, "=") {
		t.Errorf("Info = %+v, want devices and features", info)
	}
}
