package models

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"retort/models/gguf"
)

// The tensor that llama.cpp looks tokens up in, and the one it takes for the
// output where there is no separate one.
const (
	embedding = "token_embd.weight"
	output    = "output.weight"
)

// lora is the content of an adapter GGUF, matched with its base. For each
// target W of n rows with m elements, W += alpha/rank * B·A; in ggml's order
// of dimensions A is [m, rank] and B is [rank, n].
type lora struct {
	alpha float64 // 0: the file has none, and the factor is 1
	pairs []loraPair
}

type loraPair struct {
	target gguf.Tensor // in the base
	a, b   gguf.Tensor // in the adapter
	rank   int
}

// maxRank returns the highest rank of the pairs.
func (l lora) maxRank() int {
	rank := 0
	for _, p := range l.pairs {
		rank = max(rank, p.rank)
	}
	return rank
}

// factor returns what B·A of p is multiplied with.
func (l lora) factor(p loraPair) float64 {
	if l.alpha == 0 {
		return 1
	}
	return l.alpha / float64(p.rank)
}

// matchLoRA checks that adapter is a LoRA for base, by the rules of the engine:
// what passes here loads there.
func matchLoRA(adapter, base *gguf.File) (lora, error) {
	for key, want := range map[string]string{"general.type": "adapter", "adapter.type": "lora"} {
		if got, _ := adapter.String(key); got != want {
			return lora{}, fmt.Errorf("is no LoRA adapter: %s is %q, not %q", key, got, want)
		}
	}
	arch, _ := adapter.String("general.architecture")
	if want, _ := base.String("general.architecture"); arch != want {
		return lora{}, fmt.Errorf("is for architecture %q, its base is of %q", arch, want)
	}
	alpha, _ := adapter.Float("adapter.lora.alpha")
	if math.IsNaN(alpha) || math.IsInf(alpha, 0) {
		return lora{}, fmt.Errorf("its alpha is %v", alpha)
	}
	l := lora{alpha: alpha}
	tensors := map[string]gguf.Tensor{}
	for _, t := range base.Tensors {
		tensors[t.Name] = t
	}
	for _, t := range adapter.Tensors {
		if err := l.add(adapter, tensors, t); err != nil {
			return lora{}, fmt.Errorf("tensor %q %w", t.Name, err)
		}
	}
	if len(l.pairs) == 0 {
		return lora{}, errors.New("holds no tensors")
	}
	return l, nil
}

// add adds the pair that t begins. A t that ends a pair is only checked.
func (l *lora) add(adapter *gguf.File, base map[string]gguf.Tensor, t gguf.Tensor) error {
	if name, isB := strings.CutSuffix(t.Name, ".lora_b"); isB {
		if _, ok := adapter.Tensor(name + ".lora_a"); !ok {
			return errors.New("has no partner lora_a")
		}
		return nil
	}
	name, isA := strings.CutSuffix(t.Name, ".lora_a")
	if !isA {
		return errors.New("is neither lora_a nor lora_b")
	}
	b, ok := adapter.Tensor(name + ".lora_b")
	if !ok {
		return errors.New("has no partner lora_b")
	}
	target, ok := base[name]
	if !ok {
		return errors.New("is for a tensor that its base does not have")
	}
	if _, separate := base[output]; name == embedding && !separate {
		// The engine multiplies the output with it too, which its shape forbids.
		return errors.New("changes the embedding, which its base uses for the output as well")
	}
	p := loraPair{target: target, a: t, b: b}
	if err := p.check(); err != nil {
		return err
	}
	l.pairs = append(l.pairs, p)
	return nil
}

// check compares the shapes and sets the rank.
func (p *loraPair) check() error {
	for _, t := range []gguf.Tensor{p.target, p.a, p.b} {
		if len(t.Dims) != 2 {
			return fmt.Errorf("belongs to %q, which is no matrix", t.Name)
		}
	}
	for _, t := range []gguf.Tensor{p.a, p.b} {
		if t.Type != gguf.F32 && t.Type != gguf.F16 && t.Type != gguf.BF16 {
			return fmt.Errorf("belongs to %q of type %s, not F32, F16 or BF16", t.Name, t.Type)
		}
	}
	in, out, rank := p.a.Dims[0], p.b.Dims[1], p.a.Dims[1]
	if p.target.Name == embedding {
		// The engine looks rows up in A, so A is [rank, n] and B [rank, m].
		in, out, rank = p.b.Dims[1], p.a.Dims[1], p.a.Dims[0]
	}
	if in != p.target.Dims[0] || out != p.target.Dims[1] || rank != p.b.Dims[0] {
		return fmt.Errorf("is of shape %d, with a partner of %d it does not fit %q of %d", p.a.Dims, p.b.Dims, p.target.Name, p.target.Dims)
	}
	p.rank = int(rank)
	return nil
}

// matrices returns B and A in one layout for all targets: up has a row of rank
// elements for each row of the target, down has rank rows.
func (p loraPair) matrices(adapter *gguf.File) (up, down []float32, err error) {
	if down, err = adapter.Floats(p.a); err != nil {
		return nil, nil, err
	}
	if up, err = adapter.Floats(p.b); err != nil {
		return nil, nil, err
	}
	if p.target.Name == embedding {
		up, down = down, transposed(up, p.rank)
	}
	for _, m := range [][]float32{up, down} {
		for _, v := range m {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return nil, nil, fmt.Errorf("adapter of %q holds %v", p.target.Name, v)
			}
		}
	}
	return up, down, nil
}

// transposed returns the matrix m, of rows of n elements, with rows and columns
// swapped.
func transposed(m []float32, n int) []float32 {
	rows := len(m) / n
	out := make([]float32, len(m))
	for r := range rows {
		for c := range n {
			out[c*rows+r] = m[r*n+c]
		}
	}
	return out
}
