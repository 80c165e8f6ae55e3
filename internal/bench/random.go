package bench

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Shape is the size of a model of the Qwen2 architecture with tied embeddings.
type Shape struct {
	Layers, Width, Inner, Heads, KVHeads, Vocabulary, Context int
}

// Qwen2 is the shape of Qwen2.5-1.5B.
var Qwen2 = Shape{Layers: 28, Width: 1536, Inner: 8960, Heads: 12, KVHeads: 2, Vocabulary: 151936, Context: 32768}

// Matrix is a weight matrix of a model: a row for each output.
type Matrix struct {
	Name            string
	Inputs, Outputs int
}

// Weights is the type of a model's matrices.
type Weights uint32

// The types of tensors that are written, by their numbers in GGUF.
const (
	EightBits   Weights = 8  // Q8_0, blocks of 32: a half-precision scale and 32 signed bytes
	SixteenBits Weights = 30 // BF16
	vectors     Weights = 0  // F32
)

// String is the type's name in names of files.
func (w Weights) String() string {
	switch w {
	case EightBits:
		return "q8_0"
	case SixteenBits:
		return "bf16"
	}
	return "f32"
}

// WriteModel writes a GGUF file of that shape with random weights. The file appears
// by rename.
func WriteModel(path string, s Shape, w Weights, seed uint64) error {
	f := ggufFile{rng: rand.New(rand.NewPCG(seed, 3)), weights: w}
	f.meta("general.architecture", "qwen2")
	f.meta("general.name", "random weights")
	for _, n := range []struct {
		key   string
		value int
	}{{"context_length", s.Context}, {"embedding_length", s.Width}, {"block_count", s.Layers}, {"feed_forward_length", s.Inner},
		{"attention.head_count", s.Heads}, {"attention.head_count_kv", s.KVHeads}} {
		f.meta("qwen2."+n.key, uint32(n.value))
	}
	f.meta("qwen2.rope.freq_base", float32(1e6))
	f.meta("qwen2.attention.layer_norm_rms_epsilon", float32(1e-6))
	f.vocabulary(s.Vocabulary)
	kv := s.Width / s.Heads * s.KVHeads
	f.matrix("token_embd", s.Width, s.Vocabulary)
	f.vector("output_norm.weight", s.Width)
	for i := range s.Layers {
		b := fmt.Sprintf("blk.%d.", i)
		f.vector(b+"attn_norm.weight", s.Width)
		f.vector(b+"ffn_norm.weight", s.Width)
		f.matrix(b+"attn_q", s.Width, s.Width)
		f.vector(b+"attn_q.bias", s.Width)
		f.matrix(b+"attn_k", s.Width, kv)
		f.vector(b+"attn_k.bias", kv)
		f.matrix(b+"attn_v", s.Width, kv)
		f.vector(b+"attn_v.bias", kv)
		f.matrix(b+"attn_output", s.Width, s.Width)
		f.matrix(b+"ffn_gate", s.Width, s.Inner)
		f.matrix(b+"ffn_up", s.Width, s.Inner)
		f.matrix(b+"ffn_down", s.Inner, s.Width)
	}
	return f.write(path)
}

// WriteAdapter writes a LoRA adapter with random weights for the named matrices
// of a model of that architecture. The file appears by rename.
func WriteAdapter(path, architecture string, matrices []Matrix, rank int, seed uint64) error {
	f := ggufFile{rng: rand.New(rand.NewPCG(seed, 4))}
	f.meta("general.type", "adapter")
	f.meta("general.architecture", architecture)
	f.meta("adapter.type", "lora")
	f.meta("adapter.lora.alpha", float32(rank))
	for _, m := range matrices {
		f.tensors = append(f.tensors, ggufTensor{m.Name + ".lora_a", []int{m.Inputs, rank}, vectors},
			ggufTensor{m.Name + ".lora_b", []int{rank, m.Outputs}, vectors})
	}
	return f.write(path)
}

// ggufFile is a GGUF file of version 3 that is about to be written.
type ggufFile struct {
	rng     *rand.Rand
	weights Weights
	pairs   []byte
	count   uint64 // of pairs
	tensors []ggufTensor
}

type ggufTensor struct {
	name string
	dims []int // the fastest first
	typ  Weights
}

func (t ggufTensor) elements() int64 {
	n := int64(1)
	for _, d := range t.dims {
		n *= int64(d)
	}
	return n
}

func (t ggufTensor) size() int64 {
	switch t.typ {
	case EightBits:
		return t.elements() / 32 * 34
	case SixteenBits:
		return 2 * t.elements()
	}
	return 4 * t.elements()
}

func (f *ggufFile) matrix(name string, in, out int) {
	f.tensors = append(f.tensors, ggufTensor{name + ".weight", []int{in, out}, f.weights})
}

func (f *ggufFile) vector(name string, n int) {
	f.tensors = append(f.tensors, ggufTensor{name, []int{n}, vectors})
}

var le = binary.LittleEndian

func appendText(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }

// meta adds a pair of metadata: a string, uint32, float32, or a slice of strings
// or int32.
func (f *ggufFile) meta(key string, value any) {
	b := appendText(f.pairs, key)
	switch v := value.(type) {
	case uint32:
		b = le.AppendUint32(le.AppendUint32(b, 4), v)
	case float32:
		b = le.AppendUint32(le.AppendUint32(b, 6), math.Float32bits(v))
	case string:
		b = appendText(le.AppendUint32(b, 8), v)
	case []int32:
		b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, 9), 5), uint64(len(v)))
		for _, n := range v {
			b = le.AppendUint32(b, uint32(n))
		}
	case []string:
		b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, 9), 8), uint64(len(v)))
		for _, s := range v {
			b = appendText(b, s)
		}
	default:
		panic(fmt.Sprintf("bench: no metadata of type %T", value))
	}
	f.pairs = b
	f.count++
}

// vocabulary adds n tokens: the bytes as byte-level vocabularies write them, an
// end mark, and names that no text holds.
func (f *ggufFile) vocabulary(n int) {
	tokens, types := make([]string, n), make([]int32, n)
	next := 0
	for b := range 256 {
		r := rune(b)
		if b <= ' ' || b >= 0x7f && b <= 0xa0 || b == 0xad { // no letter of its own
			r = rune(0x100 + next)
			next++
		}
		tokens[b], types[b] = string(r), 1
	}
	for i := 256; i < n; i++ {
		tokens[i], types[i] = fmt.Sprintf("<%d>", i), 1
	}
	tokens[n-1], types[n-1] = "<|endoftext|>", 3
	f.meta("tokenizer.ggml.model", "gpt2")
	f.meta("tokenizer.ggml.pre", "qwen2")
	f.meta("tokenizer.ggml.tokens", tokens)
	f.meta("tokenizer.ggml.token_type", types)
	f.meta("tokenizer.ggml.merges", []string{"a b"})
	f.meta("tokenizer.ggml.eos_token_id", uint32(n-1))
}

const alignment = 32

// write writes the file beside path and then puts it in its place.
func (f *ggufFile) write(path string) (err error) {
	out, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		out.Close()
		if err != nil {
			os.Remove(out.Name())
		}
	}()
	w := bufio.NewWriterSize(out, 1<<20)
	head := le.AppendUint32([]byte("GGUF"), 3)
	head = le.AppendUint64(le.AppendUint64(head, uint64(len(f.tensors))), f.count)
	head = append(head, f.pairs...)
	offset := int64(0)
	for _, t := range f.tensors {
		head = le.AppendUint32(appendText(head, t.name), uint32(len(t.dims)))
		for _, d := range t.dims {
			head = le.AppendUint64(head, uint64(d))
		}
		head = le.AppendUint64(le.AppendUint32(head, uint32(t.typ)), uint64(offset))
		offset += aligned(t.size())
	}
	if _, err := w.Write(append(head, make([]byte, aligned(int64(len(head)))-int64(len(head)))...)); err != nil {
		return err
	}
	for _, t := range f.tensors {
		if err := f.data(w, t); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(out.Name(), path)
}

func aligned(n int64) int64 { return (n + alignment - 1) / alignment * alignment }

// data writes the weights of t: around one for the scales of norms, small around
// zero for the others, so that the numbers stay finite through any depth.
func (f *ggufFile) data(w io.Writer, t ggufTensor) error {
	size, scale := t.size(), 1/math.Sqrt(float64(t.dims[0]))
	var b []byte
	for left := size; left > 0; left -= int64(len(b)) {
		b = b[:0]
		switch t.typ {
		case EightBits:
			for len(b) < 34*4096 && int64(len(b)) < left {
				b = le.AppendUint16(b, 0x1000) // 2^-11: weights of up to 1/16
				for range 4 {
					b = le.AppendUint64(b, f.rng.Uint64())
				}
			}
		case SixteenBits:
			for len(b) < 1<<16 && int64(len(b)) < left {
				b = le.AppendUint64(b, f.rng.Uint64()&0x83ff83ff83ff83ff|0x3800380038003800) // 2^-15 to 2^-7, of either sign
			}
		default:
			for len(b) < 1<<16 && int64(len(b)) < left {
				v := scale * f.rng.NormFloat64()
				if len(t.dims) == 1 {
					v++
				}
				b = le.AppendUint32(b, math.Float32bits(float32(v)))
			}
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	_, err := w.Write(make([]byte, aligned(size)-size))
	return err
}
