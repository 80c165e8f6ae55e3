package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/hybridgroup/yzma/pkg/llama"

	"retort/llm"
)

// Bounds of one decode of an embedder. The library computes the scores of all
// words after every token of it, whether they are wanted or not.
const (
	embedScores  = 64 << 20 // bytes of these
	maxEmbedRows = 256      // tokens
	embedSeqs    = 32       // texts
)

// embedder makes vectors of texts in a context of its own over the weights of a
// Model. The context is made at the first use, for it takes memory.
type embedder struct {
	turn chan struct{} // holds one token while nobody uses the fields below
	quit atomic.Bool   // the model is being closed

	ctx     llama.Context // 0 before the first use
	mem     llama.Memory
	batch   llama.Batch
	abort   *abortFlag
	pooling llama.PoolingType
	dims    int
	rows    int  // tokens of one decode
	whole   bool // a text must be within one decode: its tokens look ahead
}

func newEmbedder() *embedder {
	e := &embedder{turn: make(chan struct{}, 1)}
	e.turn <- struct{}{}
	return e
}

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

// prepareEmbedder makes the context if there is none.
func (m *Model) prepareEmbedder() error {
	e := m.embedder
	if e.ctx != 0 {
		return nil
	}
	arch, _ := llama.ModelMetaValStr(m.handle, "general.architecture")
	switch pooling, _ := llama.ModelMetaValStr(m.handle, arch+".pooling_type"); pooling {
	case "", "0", "1":
		e.pooling = llama.PoolingTypeMean
	case "2":
		e.pooling = llama.PoolingTypeCLS
	case "3":
		e.pooling = llama.PoolingTypeLast
	default:
		return fmt.Errorf("pooling of type %s: %w", pooling, llm.ErrUnsupported)
	}
	e.whole = looksAhead(m.handle)
	e.dims = int(llama.ModelNEmbdOut(m.handle))
	e.rows = min(max(embedScores/(4*m.vocab.size), 32), maxEmbedRows)
	if e.whole {
		e.rows = m.contextSize
	}
	p := llama.ContextDefaultParams()
	p.NCtx = uint32(m.contextSize+e.rows+255) / 256 * 256
	p.NBatch, p.NUbatch, p.NOutputsMax = uint32(e.rows), uint32(e.rows), uint32(e.rows)
	p.NSeqMax = embedSeqs
	threads := int32(physicalCores())
	if m.opts.Threads > 0 {
		threads = int32(m.opts.Threads)
	}
	p.NThreads, p.NThreadsBatch = threads, threads
	p.KVUnified, p.SwaFull, p.NoPerf, p.Embeddings = 1, 1, 1, 1
	p.PoolingType = llama.PoolingTypeNone // done here: the library's ends with each decode
	e.abort = newAbortFlag()
	p.AbortCallback, p.AbortCallbackData = abortCallback(), e.abort.id
	m.engine.load.Lock() // of engineLog
	defer m.engine.load.Unlock()
	engineLog.reset()
	ctx, err := llama.InitFromModel(m.handle, p)
	if err != nil {
		e.abort.release()
		return refused("the engine cannot make a context for embeddings")
	}
	e.ctx, e.batch = ctx, llama.BatchInit(int32(e.rows), 0, 1)
	e.mem, _ = llama.GetMemory(ctx) // none where tokens look ahead
	if err := applyAdapters(e.ctx, m.adapters); err != nil {
		e.free()
		return err
	}
	return nil
}

// looksAhead reports whether the model's tokens attend to those behind them, as
// those of encoders do.
func looksAhead(model llama.Model) bool {
	arch, _ := llama.ModelMetaValStr(model, "general.architecture")
	if causal, ok := llama.ModelMetaValStr(model, arch+".attention.causal"); ok {
		return causal == "false"
	}
	return strings.Contains(arch, "bert") || arch == "gemma-embedding"
}

// embedAll reads all texts and writes their vectors to out.
func (m *Model) embedAll(ctx context.Context, list []*embedText, out [][]float32) error {
	e := m.embedder
	var open []*embedText // begun, and not yet read to their end
	for len(list)+len(open) > 0 {
		for len(open) < embedSeqs && len(list) > 0 {
			list[0].seq = freeSeq(open)
			open, list = append(open, list[0]), list[1:]
		}
		counts := e.fill(open)
		if err := e.decode(ctx, &m.engine.compute); err != nil {
			e.forget(open)
			return err
		}
		row := 0
		for i, t := range open {
			for range counts[i] {
				if err := e.pool(t, row); err != nil {
					e.forget(open)
					return err
				}
				row++
			}
		}
		var err error
		open = slices.DeleteFunc(open, func(t *embedText) bool {
			if t.done < len(t.tokens) {
				return false
			}
			e.forget([]*embedText{t})
			var bad error
			if out[t.index], bad = unit(t.sum); bad != nil {
				err = fmt.Errorf("text %d: %w", t.index, bad)
			}
			return true
		})
		if err != nil {
			e.forget(open)
			return err
		}
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

// turnTaker is what keeps two contexts from computing at once.
type turnTaker interface {
	Lock()
	Unlock()
}

func (e *embedder) decode(ctx context.Context, compute turnTaker) error {
	quit := func() bool { return e.quit.Load() || ctx.Err() != nil }
	compute.Lock()
	defer compute.Unlock()
	if !quit() {
		e.abort.quit.Store(&quit)
		code, err := llama.Decode(e.ctx, e.batch)
		e.abort.quit.Store(nil)
		if err == nil && code == 0 {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("engine error %d", code)
		}
		if !quit() {
			return fmt.Errorf("decode: %w", err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return ErrClosed
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

// forget drops what is decoded of texts.
func (e *embedder) forget(texts []*embedText) {
	if e.mem == 0 {
		return
	}
	for _, t := range texts {
		_, _ = llama.MemorySeqRm(e.mem, llama.SeqId(t.seq), -1, -1)
	}
}

// close stops what is under way and frees the context.
func (e *embedder) close() {
	e.quit.Store(true)
	<-e.turn
	e.free()
	e.turn <- struct{}{} // those that wait see quit
}

func (e *embedder) free() {
	if e.ctx == 0 {
		return
	}
	_ = llama.BatchFree(e.batch)
	_ = llama.Free(e.ctx)
	e.abort.release()
	e.ctx = 0
}
