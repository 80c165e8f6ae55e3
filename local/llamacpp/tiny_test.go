package llamacpp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"retort/models/gguf/gguftest"
)

// Shape of the tiny models.
const (
	tinyWidth  = 64
	tinyLayers = 6 // the last one of gemma3 has no sliding window
	tinyFFN    = 96
	tinyHead   = 32
	tinyWindow = 16
	tinyVocab  = 3 + 256
)

// tinyModel writes a model with random weights in 32-bit floats, whose tokens
// are single bytes. What it computes is exact enough to compare closely.
func tinyModel(t testing.TB, arch string) string {
	t.Helper()
	return gguftest.File{Meta: tinyMeta(arch), Tensors: tinyTensors(arch)}.Write(t, "tiny-"+arch+".gguf")
}

func tinyMeta(arch string) []gguftest.Pair {
	tokens, scores := []string{"<unk>", "<s>", "</s>"}, make([]float32, tinyVocab)
	for b := range 256 {
		tokens = append(tokens, fmt.Sprintf("<0x%02X>", b))
	}
	return []gguftest.Pair{
		{Key: "general.architecture", Value: arch},
		{Key: arch + ".context_length", Value: uint32(4096)},
		{Key: arch + ".embedding_length", Value: uint32(tinyWidth)},
		{Key: arch + ".block_count", Value: uint32(tinyLayers)},
		{Key: arch + ".feed_forward_length", Value: uint32(tinyFFN)},
		{Key: arch + ".attention.head_count", Value: uint32(2)},
		{Key: arch + ".attention.head_count_kv", Value: uint32(1)},
		{Key: arch + ".attention.key_length", Value: uint32(tinyHead)},
		{Key: arch + ".attention.value_length", Value: uint32(tinyHead)},
		{Key: arch + ".attention.layer_norm_rms_epsilon", Value: float32(1e-6)},
		{Key: arch + ".attention.sliding_window", Value: uint32(tinyWindow)},
		{Key: arch + ".rope.dimension_count", Value: uint32(tinyHead)},
		{Key: arch + ".rope.freq_base", Value: float32(10000)},
		{Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.scores", Value: scores},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(1)},
		{Key: "tokenizer.ggml.eos_token_id", Value: uint32(2)},
		{Key: "tokenizer.ggml.add_bos_token", Value: true},
		{Key: "tokenizer.ggml.add_space_prefix", Value: false},
	}
}

func tinyTensors(arch string) []gguftest.Tensor {
	r := rand.New(rand.NewPCG(7, 7))
	var all []gguftest.Tensor
	matrix := func(name string, in, out int) {
		v := make([]float32, in*out)
		for i := range v {
			v[i] = float32(r.NormFloat64() / math.Sqrt(float64(in)))
		}
		all = append(all, gguftest.F32(name, []uint64{uint64(in), uint64(out)}, v))
	}
	norm := func(name string, n int) {
		v := make([]float32, n)
		for i := range v {
			v[i] = 1 + float32(r.NormFloat64())/8
		}
		all = append(all, gguftest.F32(name, []uint64{uint64(n)}, v))
	}
	matrix("token_embd.weight", tinyWidth, tinyVocab)
	matrix("output.weight", tinyWidth, tinyVocab)
	norm("output_norm.weight", tinyWidth)
	for i := range tinyLayers {
		b := fmt.Sprintf("blk.%d.", i)
		norm(b+"attn_norm.weight", tinyWidth)
		matrix(b+"attn_q.weight", tinyWidth, 2*tinyHead)
		matrix(b+"attn_k.weight", tinyWidth, tinyHead)
		matrix(b+"attn_v.weight", tinyWidth, tinyHead)
		matrix(b+"attn_output.weight", 2*tinyHead, tinyWidth)
		norm(b+"ffn_norm.weight", tinyWidth)
		matrix(b+"ffn_gate.weight", tinyWidth, tinyFFN)
		matrix(b+"ffn_up.weight", tinyWidth, tinyFFN)
		matrix(b+"ffn_down.weight", tinyFFN, tinyWidth)
		if arch == "gemma3" {
			norm(b+"attn_q_norm.weight", tinyHead)
			norm(b+"attn_k_norm.weight", tinyHead)
			norm(b+"post_attention_norm.weight", tinyWidth)
			norm(b+"post_ffw_norm.weight", tinyWidth)
		}
	}
	return all
}

// openTiny opens a model of tinyModel.
func openTiny(t testing.TB, path string, opts Options) *Model {
	t.Helper()
	opts.exact, opts.Threads = true, 1
	m, err := testEngine(t).Open(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}
