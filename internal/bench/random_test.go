package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"retort/models/gguf"
)

func TestWriteModel_isSound(t *testing.T) {
	for _, w := range []Weights{EightBits, SixteenBits} {
		t.Run(w.String(), func(t *testing.T) { writesSoundModel(t, w) })
	}
}

func writesSoundModel(t *testing.T, w Weights) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.gguf")
	shape := Shape{Layers: 2, Width: 64, Inner: 96, Heads: 4, KVHeads: 2, Vocabulary: 400, Context: 128}
	if err := WriteModel(path, shape, w, 1); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, ok := f.Len("tokenizer.ggml.tokens"); !ok || n != shape.Vocabulary {
		t.Errorf("%d tokens", n)
	}
	weights := int64(0)
	for _, tensor := range f.Tensors {
		if len(tensor.Dims) == 2 {
			if tensor.Type.String() != strings.ToUpper(w.String()) {
				t.Errorf("%s is %s", tensor.Name, tensor.Type)
			}
			weights += tensor.Elements()
		}
	}
	if want := int64(400*64 + 2*(2*64*64+2*64*32+3*64*96)); weights != want {
		t.Errorf("%d weights in matrices, want %d", weights, want)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files are left", len(left))
	}
}

func TestQwen2_isAboveOneGigabyte(t *testing.T) {
	s := Qwen2
	weights := s.Vocabulary*s.Width + s.Layers*(2*s.Width*s.Width+2*s.Width*s.Width/s.Heads*s.KVHeads+3*s.Width*s.Inner)
	if bytes := weights / 32 * 34; bytes < 1<<30 {
		t.Errorf("%d bytes of weights", bytes)
	}
}

func TestWriteAdapter_isSound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.gguf")
	if err := WriteAdapter(path, "qwen2", []Matrix{{"blk.0.attn_q.weight", 64, 32}}, 4, 1); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, _ := f.Tensor("blk.0.attn_q.weight.lora_a")
	b, _ := f.Tensor("blk.0.attn_q.weight.lora_b")
	if a.Elements() != 64*4 || b.Elements() != 4*32 || b.Dims[1] != 32 {
		t.Errorf("lora_a %v, lora_b %v", a.Dims, b.Dims)
	}
	if kind, _ := f.String("adapter.type"); kind != "lora" {
		t.Errorf("adapter.type is %q", kind)
	}
}
