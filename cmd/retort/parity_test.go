package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"retort/internal/setup"
	"retort/llm"
	"retort/local/llamacpp"
	"retort/models"
)

// maxNats is how far a log-probability of the engine may be from that of
// Hugging Face on the same 32-bit floats.
const maxNats = 0.02

const parityProbes = 6 // conversations whose next token is compared

type parityAnswer struct {
	Tokens [][]int32
	Base   [][]float64 // log-probabilities of the next token, the largest first, for each probe
	Tuned  [][]float64
}

// TestParity compares the engine with Hugging Face and PEFT: the same token ids
// for the same conversations, the same log-probabilities with and without an
// adapter, and the same again when the adapter is merged.
func TestParity(t *testing.T) {
	home := os.Getenv("RETORT_TEST_HOME")
	if home == "" {
		t.Skip("RETORT_TEST_HOME is not set")
	}
	if testing.Short() {
		t.Skip("it loads models in Python")
	}
	eng, err := llamacpp.Load(filepath.Join(home, "engine"))
	if err != nil {
		t.Fatal(err)
	}
	tiny := []string{"llama", "qwen2", "qwen3", "mistral", "gemma3"}
	starters := map[string]*llamacpp.Model{}
	for id, template := range map[string]string{"smollm2-135m-instruct": "", "gemma-3-270m": "plain"} {
		starters[id] = openFile(t, eng, starterFile(t, home, id), llamacpp.Options{Template: template})
	}
	dir := t.TempDir()
	answers := askHuggingFace(t, home, dir, tiny, starters)
	for id, m := range starters {
		t.Run(id, func(t *testing.T) { sameTokens(t, m, answers[id].Tokens) })
	}
	for _, name := range tiny {
		t.Run(name, func(t *testing.T) { tinyParity(t, eng, filepath.Join(dir, name), answers[name]) })
	}
}

func tinyParity(t *testing.T, eng *llamacpp.Engine, dir string, want parityAnswer) {
	base, adapter := filepath.Join(dir, "model.gguf"), filepath.Join(dir, "adapter.gguf")
	plain := openFile(t, eng, base, llamacpp.Options{})
	sameTokens(t, plain, want.Tokens)
	sameLogprobs(t, "base", plain, want.Base)
	tuned := openFile(t, eng, base, llamacpp.Options{Adapters: []llamacpp.Adapter{{Path: adapter, Scale: 1}}})
	sameLogprobs(t, "base and adapter", tuned, want.Tuned)
	if math.Abs(want.Base[0][0]-want.Tuned[0][0]) < maxNats {
		t.Errorf("the adapter changes nothing, so the comparison shows nothing")
	}
	sameLogprobs(t, "merged", openFile(t, eng, merged(t, eng, base, adapter), llamacpp.Options{}), want.Tuned)
}

// merged returns the file of the adapter merged into base.
func merged(t *testing.T, eng *llamacpp.Engine, base, adapter string) string {
	reg, err := models.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.Import(t.Context(), base, models.ImportOptions{ID: "base"}); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.AddAdapter(t.Context(), models.AdapterSpec{ID: "tuned", Parent: "base", File: adapter}); err != nil {
		t.Fatal(err)
	}
	m, err := reg.Merge(t.Context(), "tuned", "merged", eng, models.MergeOptions{Quantization: "F32"})
	if err != nil {
		t.Fatal(err)
	}
	return reg.Path(m)
}

func openFile(t *testing.T, eng *llamacpp.Engine, path string, opts llamacpp.Options) *llamacpp.Model {
	t.Helper()
	m, err := eng.Open(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func starterFile(t *testing.T, home, id string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(home, "models", id, "*.gguf"))
	if err != nil || len(files) != 1 {
		t.Fatalf("starter model %s: %v, %v", id, files, err)
	}
	return files[0]
}

// conversations are 50 of different length and shape: one or several turns, with
// and without instructions, with other scripts, numbers, code and odd spaces.
func conversations() [][]llm.Message {
	texts := []string{"What is the capital of France?", "  two  spaces\tand a tab ", "Grüße aus Köln, 東京 und Αθήνα 🙂",
		"def f(x):\n    return x**2\n", "1234567890 3.14 1e-9", "a\n\n\nb", "it's, don't; we'll!", "<b>not a tag</b>", "UPPER lower MiXeD", "."}
	answers := []string{"Paris.", "Yes", "4", "def g(): pass", "ok ok"}
	var all [][]llm.Message
	for i := range 50 {
		var c []llm.Message
		if i%3 == 0 {
			c = append(c, llm.System("Be brief. "+texts[(i+3)%len(texts)]))
		}
		for turn := range i % 4 {
			c = append(c, llm.User(texts[(i+turn)%len(texts)]), llm.Assistant(answers[(i+turn)%len(answers)]))
		}
		all = append(all, append(c, llm.User(fmt.Sprint(texts[(i*7)%len(texts)], " ", i))))
	}
	return all
}

func askHuggingFace(t *testing.T, home, dir string, tiny []string, starters map[string]*llamacpp.Model) map[string]parityAnswer {
	t.Helper()
	type starter struct {
		GGUF     string `json:"gguf"`
		Template string `json:"template"`
	}
	request := map[string]any{"tiny": tiny, "conversations": conversations(), "probes": parityProbes}
	named := map[string]starter{}
	for id, m := range starters {
		template, _ := m.Template()
		named[id] = starter{starterFile(t, home, id), template}
	}
	request["starters"] = named
	in, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Abs("../../scripts")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), setup.PythonPath(home), "testdata/parity.py", scripts, dir)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("parity.py: %v\n%s", err, stderr.String())
	}
	var answers map[string]parityAnswer
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}

func sameTokens(t *testing.T, m *llamacpp.Model, want [][]int32) {
	t.Helper()
	all := conversations()
	if len(want) != len(all) {
		t.Fatalf("%d conversations came back, want %d", len(want), len(all))
	}
	for i, c := range all {
		got, err := m.Tokenize(c, "")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Prompt, want[i]) {
			t.Errorf("conversation %d:\n engine       %v\n Hugging Face %v", i, got.Prompt, want[i])
		}
	}
}

func sameLogprobs(t *testing.T, what string, m *llamacpp.Model, want [][]float64) {
	t.Helper()
	worst := 0.0
	for i, row := range want {
		resp, err := llm.Collect(t.Context(), m, llm.Request{Messages: conversations()[i], Logprobs: len(row),
			Sampling: llm.Sampling{Temperature: new(0.0), MaxOutputTokens: 1}})
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Logprobs) != 1 || len(resp.Logprobs[0].Top) != len(row) {
			t.Fatalf("%s: %d tokens with log-probabilities, want 1 with %d alternatives", what, len(resp.Logprobs), len(row))
		}
		for j, alt := range resp.Logprobs[0].Top {
			worst = max(worst, math.Abs(alt.Logprob-row[j]))
		}
	}
	t.Logf("%s: %.5f nats apart at most", what, worst)
	if worst > maxNats {
		t.Errorf("%s: %.4f nats apart, want at most %g", what, worst, maxNats)
	}
}
