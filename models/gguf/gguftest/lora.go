package gguftest

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"retort/models/gguf"
)

// LoRA writes an adapter of rank 4 over the first feed-forward layer of the
// model at path and returns its path. It holds noise of that standard deviation:
// at 0.1 answers of a small model change and stay language.
func LoRA(t testing.TB, path string, deviation float64) string {
	t.Helper()
	base, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	arch, _ := base.String("general.architecture")
	target, ok := base.Tensor("blk.0.ffn_down.weight")
	if !ok {
		t.Fatalf("%s has no blk.0.ffn_down.weight", path)
	}
	const rank = 4
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(n uint64) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(deviation * rng.NormFloat64())
		}
		return out
	}
	in, out := target.Dims[0], target.Dims[1]
	file := File{
		Meta: []Pair{{"general.architecture", arch}, {"general.type", "adapter"}, {"adapter.type", "lora"}, {"adapter.lora.alpha", float32(rank)}},
		Tensors: []Tensor{F32(target.Name+".lora_a", []uint64{in, rank}, noise(in*rank)),
			F32(target.Name+".lora_b", []uint64{rank, out}, noise(rank*out))},
	}
	dst := filepath.Join(t.TempDir(), "adapter.gguf")
	if err := os.WriteFile(dst, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return dst
}
