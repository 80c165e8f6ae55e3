package llamacpp

import (
	"context"
	"fmt"
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
