package llamacpp

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"retort/llm"
)

func TestQuantize_writesAModelThatAnswers(t *testing.T) {
	e, dir := testEngine(t), t.TempDir()
	in := tinyModel(t, "llama")
	req := llm.Request{Messages: []llm.Message{llm.User("hello")}}
	score := func(path string) float64 {
		s, err := openTiny(t, path, Options{}).Score(t.Context(), req, []string{"world"})
		if err != nil {
			t.Fatal(err)
		}
		return s[0].Logprob
	}
	want := score(in)
	last := in
	for _, step := range []struct {
		typ  string
		nats float64 // how far the score may move
	}{{"F16", 0.05}, {"q8_0", 0.5}, {"F32", 0.5}} { // each from the one before
		out := filepath.Join(dir, step.typ+".gguf")
		if err := e.Quantize(t.Context(), last, out, step.typ); err != nil {
			t.Fatal(err)
		}
		if got := score(out); got-want > step.nats || want-got > step.nats {
			t.Errorf("%s: score %g, want about %g", step.typ, got, want)
		}
		last = out
	}
	if small, large := size(t, filepath.Join(dir, "q8_0.gguf")), size(t, in); small*2 > large {
		t.Errorf("8 bits take %d bytes, 32 bits %d", small, large)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestQuantize_leavesNothingBehindWhenItFails(t *testing.T) {
	e, dir := testEngine(t), t.TempDir()
	in := tinyModel(t, "llama")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"type":      e.Quantize(t.Context(), in, filepath.Join(dir, "a.gguf"), "Q9"),
		"input":     e.Quantize(t.Context(), filepath.Join(dir, "none.gguf"), filepath.Join(dir, "a.gguf"), "F16"),
		"folder":    e.Quantize(t.Context(), in, filepath.Join(dir, "none", "a.gguf"), "F16"),
		"cancelled": e.Quantize(cancelled, in, filepath.Join(dir, "a.gguf"), "F16"),
	} {
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line", name, err)
		}
		if name == "cancelled" && !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
