package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/hybridgroup/yzma/pkg/llama"

	"retort/llm"
)

// embedText is a text that is being read.
type embedText struct {
	index  int
	tokens []int32
	done   int // tokens that are decoded
	seq    int
	sum    []float64
}

// Embed implements llm.Embedder. Vectors are pooled as the model's file says;
// those of a chat model are the mean over all tokens of its last hidden states.
func (m *Model) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	vectors, err := m.embed(ctx, texts)
	if err != nil {
		return nil, m.wrap("embed", err)
	}
	return vectors, nil
}

func (m *Model) embed(ctx context.Context, texts []string) ([][]float32, error) {
	list := make([]*embedText, len(texts))
	for i, text := range texts {
		ids, err := m.embedTokens(text)
		if err != nil {
			return nil, err
		}
		switch {
		case len(ids) == 0:
			return nil, fmt.Errorf("%w: text %d is empty", llm.ErrBadRequest, i)
		case len(ids) > m.contextSize:
			return nil, fmt.Errorf("text %d: %w", i, overflow(len(ids), m.contextSize))
		}
		list[i] = &embedText{index: i, tokens: ids}
	}
	out := make([][]float32, len(texts))
	if len(texts) == 0 {
		return out, ctx.Err()
	}
	e := m.embedder
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.turn:
	}
	defer func() { e.turn <- struct{}{} }()
	if e.quit.Load() {
		return nil, ErrClosed
	}
	if err := m.prepareEmbedder(); err != nil {
		return nil, err
	}
	return out, m.embedAll(ctx, list, out)
}

// embedTokens returns the ids of text with the tokens that the model wants
// around it. Names of special tokens in it are plain text.
func (m *Model) embedTokens(text string) ([]int32, error) {
	if strings.ContainsRune(text, 0) {
		return nil, fmt.Errorf("%w: the text holds a zero byte", llm.ErrBadRequest)
	}
	m.life.RLock()
	defer m.life.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	var ids []int32
	for _, t := range llama.Tokenize(m.vocab.handle, strings.ToValidUTF8(text, "\uFFFD"), true, false) {
		ids = append(ids, int32(t))
	}
	return ids, nil
}

// embedAll reads all texts and writes their vectors to out.
func (m *Model) embedAll(ctx context.Context, list []*embedText, out [][]float32) error {
	e := m.embedder
	var open []*embedText // begun, and not yet read to their end
	defer func() { e.forget(open) }()
	for len(list)+len(open) > 0 {
		for len(open) < embedSeqs && len(list) > 0 {
			list[0].seq = freeSeq(open)
			open, list = append(open, list[0]), list[1:]
		}
		counts := e.fill(open)
		if err := e.decode(ctx, &m.engine.compute); err != nil {
			return err
		}
		if err := e.poolAll(open, counts); err != nil {
			return err
		}
		still := open[:0]
		for _, t := range open {
			if t.done < len(t.tokens) {
				still = append(still, t)
				continue
			}
			e.forget([]*embedText{t})
			var err error
			if out[t.index], err = unit(t.sum); err != nil {
				return fmt.Errorf("text %d: %w", t.index, err)
			}
		}
		open = still
	}
	return nil
}

// freeSeq returns the lowest sequence that no text of open has.
func freeSeq(open []*embedText) int {
	for seq := 0; ; seq++ {
		if !slices.ContainsFunc(open, func(t *embedText) bool { return t.seq == seq }) {
			return seq
		}
	}
}

// fill puts tokens of the texts into the batch and returns how many of each.
func (e *embedder) fill(open []*embedText) []int {
	_ = e.batch.Clear()
	counts := make([]int, len(open))
	left := e.rows
	for i, t := range open {
		n := min(left, len(t.tokens)-t.done)
		if e.whole && n < len(t.tokens) {
			break
		}
		for pos := t.done; pos < t.done+n; pos++ {
			_ = e.batch.Add(llama.Token(t.tokens[pos]), llama.Pos(pos), []llama.SeqId{llama.SeqId(t.seq)}, true)
		}
		counts[i] = n
		left -= n
	}
	return counts
}

// poolAll takes in what a decode gave, of which counts[i] rows are of open[i].
func (e *embedder) poolAll(open []*embedText, counts []int) error {
	row := 0
	for i, t := range open {
		for range counts[i] {
			if err := e.pool(t, row); err != nil {
				return err
			}
			row++
		}
	}
	return nil
}

// pool takes the hidden state of row into the vector of t, whose next token it
// belongs to.
func (e *embedder) pool(t *embedText, row int) error {
	first, last := t.done == 0, t.done == len(t.tokens)-1
	t.done++
	if e.pooling == llama.PoolingTypeCLS && !first || e.pooling == llama.PoolingTypeLast && !last {
		return nil
	}
	h, err := llama.GetEmbeddingsIth(e.ctx, int32(row), int32(e.dims))
	if err != nil || h == nil {
		return errors.New("the engine gave no hidden state")
	}
	if t.sum == nil {
		t.sum = make([]float64, e.dims)
	}
	for i, x := range h {
		t.sum[i] += float64(x)
	}
	return nil
}

// unit returns v at length 1.
func unit(v []float64) ([]float32, error) {
	square := 0.0
	for _, x := range v {
		square += x * x
	}
	norm := math.Sqrt(square)
	if !(norm > 0) || math.IsInf(norm, 0) {
		return nil, errors.New("the model gave no vector that has a length")
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x / norm)
	}
	return out, nil
}
