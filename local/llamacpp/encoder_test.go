package llamacpp

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"retort/llm"
	"retort/models/gguf/gguftest"
)

// tinyEncoder writes a model of the architecture that embedding models have.
// Its words are the letters.
func tinyEncoder(t *testing.T, pooling uint32) string {
	t.Helper()
	const width, context = 64, 128
	tokens := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
	for c := 'a'; c <= 'z'; c++ {
		tokens = append(tokens, "\u2581"+string(c), string(c))
	}
	f := gguftest.File{Meta: []gguftest.Pair{
		{Key: "general.architecture", Value: "bert"},
		{Key: "bert.context_length", Value: uint32(context)},
		{Key: "bert.embedding_length", Value: uint32(width)},
		{Key: "bert.block_count", Value: uint32(2)},
		{Key: "bert.feed_forward_length", Value: uint32(width)},
		{Key: "bert.attention.head_count", Value: uint32(2)},
		{Key: "bert.attention.layer_norm_epsilon", Value: float32(1e-6)},
		{Key: "bert.attention.causal", Value: false},
		{Key: "bert.pooling_type", Value: pooling},
		{Key: "tokenizer.ggml.model", Value: "bert"},
		{Key: "tokenizer.ggml.token_type_count", Value: uint32(2)},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(2)},
		{Key: "tokenizer.ggml.cls_token_id", Value: uint32(2)},
		{Key: "tokenizer.ggml.seperator_token_id", Value: uint32(3)},
		{Key: "tokenizer.ggml.unknown_token_id", Value: uint32(1)},
		{Key: "tokenizer.ggml.padding_token_id", Value: uint32(0)},
	}}
	r := rand.New(rand.NewPCG(3, 3))
	tensor := func(name string, mean, spread float64, dims ...uint64) {
		n := 1
		for _, d := range dims {
			n *= int(d)
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(mean + spread*r.NormFloat64())
		}
		f.Tensors = append(f.Tensors, gguftest.F32(name, dims, v))
	}
	linear := func(name string) {
		tensor(name+".weight", 0, 0.2, width, width)
		tensor(name+".bias", 0, 0.1, width)
	}
	norm := func(name string) {
		tensor(name+".weight", 1, 0.1, width)
		tensor(name+".bias", 0, 0.1, width)
	}
	tensor("token_embd.weight", 0, 1, width, uint64(len(tokens)))
	tensor("token_types.weight", 0, 0.1, width, 2)
	tensor("position_embd.weight", 0, 0.1, width, context)
	norm("token_embd_norm")
	for i := range 2 {
		b := fmt.Sprintf("blk.%d.", i)
		for _, name := range []string{"attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"} {
			linear(b + name)
		}
		norm(b + "attn_output_norm")
		norm(b + "layer_output_norm")
	}
	return f.Write(t, "tiny-bert.gguf")
}

func TestEmbed_encoder(t *testing.T) {
	first := make(map[uint32][]float32)
	for _, pooling := range []uint32{1, 2, 3} {
		m := openTiny(t, tinyEncoder(t, pooling), Options{})
		texts := []string{"a b c", strings.Repeat("x y z ", 30), "a b c", "c b a"}
		for range 70 { // more than one decode holds
			texts = append(texts, "q r s t")
		}
		v, err := m.Embed(t.Context(), texts)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := dot(v[0], v[2]), dot(v[0], v[3]); math.Abs(a-1) > 1e-3 || b > 0.9999 {
			t.Errorf("pooling %d: equal texts at %g, different ones at %g", pooling, a, b)
		}
		if d := dot(v[4], v[len(v)-1]); math.Abs(d-1) > 1e-3 {
			t.Errorf("pooling %d: equal texts in different decodes at %g", pooling, d)
		}
		first[pooling] = v[0]
		if _, err := m.Embed(t.Context(), []string{strings.Repeat("x ", 128)}); !errors.Is(err, llm.ErrContextOverflow) {
			t.Errorf("a text that is too long: %v, want ErrContextOverflow", err)
		}
		if _, err := llm.Collect(t.Context(), m, greedy("hi", 1)); !errors.Is(err, llm.ErrUnsupported) {
			t.Errorf("an answer of an encoder: %v, want ErrUnsupported", err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if dot(first[1], first[2]) > 0.999 || dot(first[2], first[3]) > 0.999 {
		t.Error("the way of pooling changes nothing")
	}
	m := openTiny(t, tinyEncoder(t, 4), Options{})
	if _, err := m.Embed(t.Context(), []string{"a"}); !errors.Is(err, llm.ErrUnsupported) {
		t.Errorf("a reranker: %v, want ErrUnsupported", err)
	}
}
