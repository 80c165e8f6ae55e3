package llamacpp

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"retort/models/gguf/gguftest"
)

// TestOpen_refusesHostileFiles opens what is no model. None may reach the C
// loader's own handling of damage, let alone end the process.
func TestOpen_refusesHostileFiles(t *testing.T) {
	e, dir := testEngine(t), t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, strings.ReplaceAll(name, "/", " ")+".gguf")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole, err := os.ReadFile(tinyModel(t, "llama"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"missing":     filepath.Join(dir, "none.gguf"),
		"folder":      dir,
		"empty":       write("empty", nil),
		"text":        write("text", []byte("this is no model\n")),
		"cut header":  write("cut header", whole[:1000]),
		"cut tensors": write("cut tensors", whole[:len(whole)-1000]),
	}
	for _, c := range gguftest.Hostile() {
		files[c.Name] = write(c.Name, c.Data)
	}
	for name, path := range files {
		checkRefused(t, e, name, path)
	}
}

// TestOpen_refusesUnusableModels opens files whose structure is sound.
func TestOpen_refusesUnusableModels(t *testing.T) {
	e := testEngine(t)
	for name, change := range map[string]func(f *gguftest.File){
		"a tensor is missing":   func(f *gguftest.File) { f.Tensors = f.Tensors[:len(f.Tensors)-1] },
		"a tensor has a shape":  func(f *gguftest.File) { f.Tensors[0].Dims = []uint64{tinyVocab, tinyWidth} },
		"no such architecture":  func(f *gguftest.File) { f.Meta[0].Value = "nonsense" },
		"no vocabulary":         func(f *gguftest.File) { f.Meta = drop(f.Meta, "tokenizer.ggml.tokens") },
		"a token is twice":      func(f *gguftest.File) { at(f.Meta, "tokenizer.ggml.tokens").([]string)[9] = "<s>" },
		"negative epsilon":      func(f *gguftest.File) { set(f.Meta, "llama.attention.layer_norm_rms_epsilon", float32(-1)) },
		"too many experts":      func(f *gguftest.File) { add(f, "llama.expert_count", uint32(1<<30)) },
		"more experts than are": func(f *gguftest.File) { add(f, "llama.expert_used_count", uint32(1)) },
		"unknown rope scaling":  func(f *gguftest.File) { add(f, "llama.rope.scaling.type", "nonsense") },
		"no layers":             func(f *gguftest.File) { set(f.Meta, "llama.block_count", uint32(0)) },
		"no heads":              func(f *gguftest.File) { set(f.Meta, "llama.attention.head_count", uint32(0)) },
		"a layer without heads": func(f *gguftest.File) {
			set(f.Meta, "llama.attention.head_count_kv", []int32{1, 1, 0, 1, 1, 1})
		},
		"a layer without queries": func(f *gguftest.File) {
			set(f.Meta, "llama.attention.head_count", []int32{2, 2, 2, 2, 2, 0})
		},
		"too many layers":  func(f *gguftest.File) { set(f.Meta, "llama.block_count", uint32(1<<30)) },
		"hostile template": func(f *gguftest.File) { add(f, "tokenizer.chat_template", "{{ 'a' * 999999999 }}") },
	} {
		f := gguftest.File{Meta: tinyMeta("llama"), Tensors: tinyTensors("llama")}
		change(&f)
		checkRefused(t, e, name, f.Write(t, "bad.gguf"))
	}
}

func index(meta []gguftest.Pair, key string) int {
	return slices.IndexFunc(meta, func(p gguftest.Pair) bool { return p.Key == key })
}

func at(meta []gguftest.Pair, key string) any { return meta[index(meta, key)].Value }

func set(meta []gguftest.Pair, key string, value any) { meta[index(meta, key)].Value = value }

func add(f *gguftest.File, key string, value any) {
	f.Meta = append(f.Meta, gguftest.Pair{Key: key, Value: value})
}

func drop(meta []gguftest.Pair, key string) []gguftest.Pair {
	return slices.DeleteFunc(meta, func(p gguftest.Pair) bool { return p.Key == key })
}

// checkRefused opens a bad file and wants an error of one line that names it.
func checkRefused(t *testing.T, e *Engine, name, path string) {
	t.Helper()
	m, err := e.Open(t.Context(), path, Options{})
	if err == nil {
		_ = m.Close()
		t.Errorf("%s: opened", name)
		return
	}
	if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), path) {
		t.Errorf("%s: error %q, want one line with the path", name, err)
	}
}
