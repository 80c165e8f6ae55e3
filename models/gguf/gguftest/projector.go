package gguftest

import (
	"math"
	"math/rand/v2"
	"testing"

	"retort/models/gguf"
)

// ProjectorPatches is how many tokens an image takes with [Projector].
const ProjectorPatches = 16

// Projector writes an image encoder for the language model at path and returns
// its path: CLIP's architecture and LLaVA's projector in small, all of noise. It
// knows nothing of images; different ones give different tokens.
func Projector(t testing.TB, path string) string {
	t.Helper()
	base, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	embeddings, ok := base.Tensor("token_embd.weight")
	if !ok {
		t.Fatalf("%s has no token_embd.weight", path)
	}
	const (
		patch = 8
		width = 32
		inner = 64
	)
	rng := rand.New(rand.NewPCG(1, 2))
	var file File
	weight := func(name string, dims ...uint64) { // keeps the size of what goes through
		in, n := uint64(1), uint64(1)
		for _, d := range dims {
			in, n = n, n*d
		}
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(rng.NormFloat64() / math.Sqrt(float64(in)))
		}
		file.Tensors = append(file.Tensors, F32(name, dims, values))
	}
	bias := func(name string, value float32, n uint64) {
		values := make([]float32, n)
		for i := range values {
			values[i] = value
		}
		file.Tensors = append(file.Tensors, F32(name, []uint64{n}, values))
	}
	weight("v.patch_embd.weight", patch, patch, 3, width)
	weight("v.position_embd.weight", width, ProjectorPatches)
	for _, block := range []string{"v.blk.0.", "v.blk.1."} { // LLaVA leaves out the last
		for _, part := range []string{"attn_q", "attn_k", "attn_v", "attn_out"} {
			weight(block+part+".weight", width, width)
		}
		weight(block+"ffn_up.weight", width, inner)
		weight(block+"ffn_down.weight", inner, width)
		for _, norm := range []string{"ln1", "ln2"} {
			bias(block+norm+".weight", 1, width)
			bias(block+norm+".bias", 0, width)
		}
	}
	weight("mm.0.weight", width, width)
	bias("mm.0.bias", 0, width)
	weight("mm.2.weight", width, embeddings.Dims[0])
	bias("mm.2.bias", 0, embeddings.Dims[0])
	file.Meta = []Pair{
		{"general.architecture", "clip"}, {"general.type", "mmproj"},
		{"clip.has_vision_encoder", true}, {"clip.projector_type", "mlp"}, {"clip.use_gelu", true},
		{"clip.vision.image_size", uint32(patch * 4)}, {"clip.vision.patch_size", uint32(patch)},
		{"clip.vision.embedding_length", uint32(width)}, {"clip.vision.feed_forward_length", uint32(inner)},
		{"clip.vision.block_count", uint32(2)}, {"clip.vision.projection_dim", uint32(embeddings.Dims[0])},
		{"clip.vision.attention.head_count", uint32(2)}, {"clip.vision.attention.layer_norm_epsilon", float32(1e-5)},
		{"clip.vision.image_mean", []float32{0.5, 0.5, 0.5}}, {"clip.vision.image_std", []float32{0.5, 0.5, 0.5}},
	}
	return file.Write(t, "mmproj.gguf")
}
