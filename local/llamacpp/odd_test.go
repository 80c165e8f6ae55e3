package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"retort/llm"
	"retort/models/gguf/gguftest"
)

// oddList tells a child process the architecture and the first of its changes.
const oddList = "RETORT_TEST_ODD"

// oddTime is how long one model may take.
const oddTime = 20 * time.Second

// oddChanges are files whose structure is sound, and whose numbers or shapes no
// converter writes. The engine answers some of them by ending the process.
func oddChanges(arch string) map[string]func(f *gguftest.File) {
	changes := make(map[string]func(f *gguftest.File))
	for i, p := range tinyMeta(arch) {
		for _, v := range oddValues(p.Value) {
			changes[fmt.Sprintf("%s: %s = %T(%v)", arch, p.Key, v, v)] = func(f *gguftest.File) { f.Meta[i].Value = v }
		}
		changes[fmt.Sprintf("%s: no %s", arch, p.Key)] = func(f *gguftest.File) { f.Meta = append(f.Meta[:i:i], f.Meta[i+1:]...) }
	}
	for _, key := range []string{"expert_count", "expert_used_count", "rope.scaling.factor", "rope.scaling.original_context_length",
		"attention.clamp_kqv", "attention.max_alibi_bias", "pooling_type", "attention.causal", "vocab_size", "attention.scale", "logit_scale",
		"attention.key_length_swa", "attention.sliding_window_pattern", "rope.dimension_sections", "nextn_predict_layers", "leading_dense_block_count"} {
		for _, v := range []any{uint32(0), uint32(1), uint32(1 << 31), float32(0), float32(-1), "text", []uint32{1, 2}, true} {
			changes[fmt.Sprintf("%s: + %s = %T(%v)", arch, key, v, v)] = func(f *gguftest.File) {
				f.Meta = append(f.Meta, gguftest.Pair{Key: arch + "." + key, Value: v})
			}
		}
	}
	for _, key := range []string{"tokenizer.ggml.token_type", "tokenizer.ggml.merges", "tokenizer.ggml.pre", "tokenizer.ggml.padding_token_id",
		"tokenizer.ggml.eot_token_id", "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.precompiled_charsmap", "tokenizer.ggml.added_tokens"} {
		for _, v := range []any{uint32(0), uint32(1 << 31), "text", []uint32{1, 2}, []string{"a b", "c"}, []uint32{}} {
			changes[fmt.Sprintf("%s: + %s = %T(%v)", arch, key, v, v)] = func(f *gguftest.File) {
				f.Meta = append(f.Meta, gguftest.Pair{Key: key, Value: v})
			}
		}
	}
	for i, tensor := range tinyTensors(arch) {
		if i > 14 && !strings.Contains(tensor.Name, "blk.5") { // the layers are alike
			continue
		}
		n := uint64(len(tensor.Data) / 4)
		for _, dims := range [][]uint64{{n}, {1, n}, {n, 1, 1}, {1, 1, 1, n}, {n / 2}, {n / 2, 2}} {
			changes[fmt.Sprintf("%s: %s of %v", arch, tensor.Name, dims)] = func(f *gguftest.File) {
				size := 4
				for _, d := range dims {
					size *= int(d)
				}
				f.Tensors[i].Dims, f.Tensors[i].Data = dims, f.Tensors[i].Data[:size]
			}
		}
		changes[fmt.Sprintf("%s: %s in whole numbers", arch, tensor.Name)] = func(f *gguftest.File) { f.Tensors[i].Type = 26 }
		changes[fmt.Sprintf("%s: %s in half", arch, tensor.Name)] = func(f *gguftest.File) {
			f.Tensors[i].Type, f.Tensors[i].Data = 1, f.Tensors[i].Data[:2*n]
		}
		changes[fmt.Sprintf("%s: no %s", arch, tensor.Name)] = func(f *gguftest.File) { f.Tensors = append(f.Tensors[:i:i], f.Tensors[i+1:]...) }
	}
	return changes
}

func oddValues(v any) []any {
	switch v.(type) {
	case uint32:
		return []any{uint32(0), uint32(1), uint32(3), uint32(33), uint32(1 << 16), uint32(1 << 31), uint32(1<<32 - 1),
			int32(-1), uint64(1 << 40), float32(2), "text", []uint32{1, 2, 3}}
	case float32:
		return []any{float32(0), float32(-1), float32(1e30), uint32(1), "text"}
	case bool:
		return []any{uint32(1), "text"}
	case string:
		return []any{"", "nonsense", "gpt2", "bert", uint32(1)}
	case []string:
		return []any{[]string{}, []string{"a"}, []uint32{1}, "text"}
	case []float32:
		return []any{[]float32{}, []float32{1}, []uint32{1}, "text"}
	}
	return nil
}

// TestOpen_survivesOddModels opens and runs them in child processes: each is
// either refused in one line, or answers.
func TestOpen_survivesOddModels(t *testing.T) {
	if list := os.Getenv(oddList); list != "" {
		runOddModels(t, list)
		return
	}
	testEngine(t)
	if testing.Short() {
		t.Skip("it opens 1,700 models")
	}
	for _, arch := range []string{"llama", "gemma3", "qwen2"} {
		names := slices.Sorted(maps.Keys(oddChanges(arch)))
		opened := 0
		for next := 0; next < len(names); {
			done, ok, out := oddChild(t, arch, next)
			opened += ok
			if next += done; next < len(names) {
				t.Errorf("%s: the process ended: %s", names[next], out)
				next++
			}
		}
		t.Logf("%s: %d of %d opened and answered", arch, opened, len(names))
	}
}

// oddChild opens the models of arch from first on; done is how many it got past.
func oddChild(t *testing.T, arch string, first int) (done, ok int, tail string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestOpen_survivesOddModels$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", oddList, arch, first))
	out, err := cmd.CombinedOutput()
	var rest []string
	for line := range strings.Lines(string(out)) {
		switch line = strings.TrimSpace(line); line {
		case "odd: answered":
			done, ok = done+1, ok+1
		case "odd: refused":
			done++
		default:
			rest = append(rest, line)
		}
	}
	if err == nil && !slices.Contains(rest, "odd: all") {
		t.Fatalf("the child ended early: %s", out)
	}
	return done, ok, strings.Join(rest[:min(4, len(rest))], " ")
}

func runOddModels(t *testing.T, task string) {
	var arch string
	var first int
	if _, err := fmt.Sscan(task, &arch, &first); err != nil {
		t.Fatal(err)
	}
	e, path, changes := testEngine(t), filepath.Join(t.TempDir(), "odd.gguf"), oddChanges(arch)
	for _, name := range slices.Sorted(maps.Keys(changes))[first:] {
		f := gguftest.File{Meta: tinyMeta(arch), Tensors: tinyTensors(arch)}
		changes[name](&f)
		if err := os.WriteFile(path, f.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		hangs := time.AfterFunc(oddTime, func() {
			fmt.Println("odd: no end")
			os.Exit(3)
		})
		fmt.Println(oddOutcome(t, e, path))
		hangs.Stop()
	}
	fmt.Println("odd: all")
}

func oddOutcome(t *testing.T, e *Engine, path string) string {
	m, err := e.Open(t.Context(), path, Options{ContextSize: 64, Parallel: 2, Prefixes: 1, Threads: 1})
	if err != nil {
		return "odd: refused"
	}
	defer m.Close()
	_, err = llm.Collect(t.Context(), m, greedy("hi", 2))
	_, embedErr := m.Embed(t.Context(), []string{"hi"})
	if err = errors.Join(err, embedErr); err != nil {
		return "odd: refused"
	}
	return "odd: answered"
}
