package llamacpp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/hybridgroup/yzma/pkg/llama"

	"retort/llm"
	"retort/models/gguf"
)

// Options say how a model is opened. The zero value of each field is a default.
type Options struct {
	ID          string    // what Model.ID returns; the name of the file if empty
	Template    string    // chat template: Jinja, or the name of a built-in one; the file's own if empty
	Adapters    []Adapter // applied to the model, all together
	ContextSize int       // tokens that one conversation may hold; the smaller of 4096 and what the model was trained for if 0
	Parallel    int       // sequences decoded together; 16 if 0
	Prefixes    int       // beginnings of prompts that stay cached; 8 if 0, none if NoPrefixes
	MaxQueue    int       // requests that may wait to be started; 256 if 0
	Threads     int       // the number of physical cores if 0
	Steady      bool      // all Threads compute, even where other programs use the cores; to measure speed by
	IgnoreEnd   bool      // answers go on past end marks to their limit; to measure speed by

	exact  bool // slower attention, whose result does not depend on how tokens are batched; for tests
	narrow bool // weights are not widened
}

// Adapter is a LoRA adapter in a GGUF file.
type Adapter struct {
	Path  string
	Scale float64 // 1 is as trained
}

const (
	defaultContext  = 4096
	defaultParallel = 16
	defaultPrefixes = 8
	defaultQueue    = 256

	// NoPrefixes, as Options.Prefixes, keeps no beginning of a prompt.
	NoPrefixes = -1

	maxRows = 256 // tokens of one decode: bounds how long others wait for a prompt
)

// Model is a model in memory. It implements llm.Model, llm.BatchModel,
// llm.Scorer, llm.Embedder, llm.Tokenizer, llm.Describer and io.Closer, and is
// safe for concurrent use: requests from all goroutines are decoded together.
type Model struct {
	id          string
	template    *chatTemplate
	vocab       *vocab
	words       words // of its answers
	contextSize int
	sched       *scheduler
	dev         *llamaDevice
	handle      llama.Model // of weights
	weights     *weights
	adapters    []adapter
	opts        Options
	settings    settings
	need        need // estimated; zero if unknown
	engine      *Engine
	embedder    *embedder

	life   sync.RWMutex // held by readers of handle, and by Close to end it
	closed bool
}

// Interfaces that callers may find in a Model.
var (
	_ llm.BatchModel = (*Model)(nil)
	_ llm.Scorer     = (*Model)(nil)
	_ llm.Tokenizer  = (*Model)(nil)
	_ llm.Embedder   = (*Model)(nil)
	_ llm.Describer  = (*Model)(nil)
)

// Open loads the GGUF file at path. The caller closes the Model. Models of the
// same file share its weights, whatever their adapters: a second one costs its
// KV cache, its buffers and its adapters alone. What would not fit into the memory
// that is free is refused with ErrNoMemory before it is loaded. When ctx ends it
// reads no further.
func (e *Engine) Open(ctx context.Context, path string, opts Options) (*Model, error) {
	if err := opts.check(ctx, path); err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	m, err := e.open(ctx, path, opts)
	if err != nil {
		return nil, fmt.Errorf("open model %q: %w", path, err)
	}
	// What the header was read into, 25 MB for the largest vocabularies, is garbage now,
	// and a process that waits for questions collects none.
	debug.FreeOSMemory()
	return m, nil
}

func (e *Engine) open(ctx context.Context, path string, opts Options) (*Model, error) {
	if err := e.load.lock(ctx); err != nil {
		return nil, err
	}
	defer e.load.Unlock()
	engineLog.reset()
	chosen, takes, err := e.admit(path, opts)
	if err != nil {
		return nil, err
	}
	w, err := e.acquire(ctx, path, chosen)
	if err != nil {
		return nil, err
	}
	if chosen.widened = w.widened; w.widened {
		takes = takes.widened()
	}
	m := &Model{id: opts.ID, handle: w.handle, weights: w, engine: e, vocab: newVocab(w.handle),
		opts: opts, settings: chosen, need: takes}
	m.words = m.vocab
	if opts.IgnoreEnd {
		m.words = endless{m.vocab}
	}
	if m.id == "" {
		m.id = "llamacpp/" + strings.TrimSuffix(filepath.Base(path), ".gguf")
	}
	if err := m.prepare(opts); err != nil {
		return nil, errors.Join(err, m.free())
	}
	return m, nil
}

// check looks for what is wrong before the C loader sees it.
func (o *Options) check(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if o.ContextSize < 0 || o.Parallel < 0 || o.Prefixes < NoPrefixes || o.Threads < 0 || o.MaxQueue < 0 {
		return errors.New("a size in the options is negative")
	}
	if err := checkModel(path); err != nil {
		return err
	}
	for _, a := range o.Adapters {
		if err := gguf.Check(a.Path); err != nil {
			return fmt.Errorf("adapter: %w", err)
		}
	}
	return nil
}

// prepare makes everything that stands on the loaded weights.
func (m *Model) prepare(opts Options) error {
	if llama.ModelIsRecurrent(m.handle) || llama.ModelIsHybrid(m.handle) || llama.ModelHasEncoder(m.handle) {
		return fmt.Errorf("architecture without a plain KV cache: %w", llm.ErrUnsupported)
	}
	m.embedder = newEmbedder()
	source := opts.Template
	if source == "" {
		source = llama.ModelChatTemplate(m.handle, "")
	}
	var err error
	if m.template, err = newTemplate(source, m.vocab.name(m.vocab.bos), m.vocab.name(m.vocab.eos)); err != nil {
		return err
	}
	m.template.beginAs(m.vocab.addBOS)
	if m.contextSize, err = contextSize(opts.ContextSize, int(llama.ModelNCtxTrain(m.handle))); err != nil {
		return err
	}
	// Before any context, which is made with room for them.
	if m.adapters, err = m.engine.adapt(m.weights, opts.Adapters); err != nil {
		return err
	}
	if looksAhead(m.handle) { // it makes vectors, and has no KV cache to answer with
		return nil
	}
	lim, cells := opts.limits(m.contextSize)
	if m.settings.layers > 0 {
		lim.shelf = 0 // what a GPU holds stays there
	}
	if m.dev, err = m.engine.newDevice(m, lim, cells); err != nil {
		return err
	}
	if err := applyAdapters(m.dev.ctx, m.adapters); err != nil {
		return err
	}
	m.sched = newScheduler(m.dev, lim)
	return nil
}

func contextSize(want, trained int) (int, error) {
	switch {
	case want == 0 && trained > 0:
		return min(defaultContext, trained), nil
	case want == 0:
		return defaultContext, nil
	case trained > 0 && want > trained:
		return 0, fmt.Errorf("context of %d tokens: the model was trained for %d", want, trained)
	}
	return want, nil
}

// limits derives what the scheduler may do, and how many cells its KV cache
// has. One full conversation fits always, and so do a thousand tokens for each
// prefix and a hundred for each answer: when that is not enough prefixes are
// dropped, and then requests take turns. A cell of the starter models is 18 to
// 23 KB, so the default is about 200 MB, and half as much again for the shelf when
// it is full. The library takes the memory for the logits of every sequence at
// once, which is 1 MB each for the largest vocabularies.
func (o *Options) limits(context int) (limits, int) {
	parallel, prefixes := cmp.Or(o.Parallel, defaultParallel), max(0, cmp.Or(o.Prefixes, defaultPrefixes))
	most := int(llama.MaxParallelSequences()) - 1 // the keeper of a model with a sliding window takes one
	lim := limits{rows: max(maxRows, parallel), outputs: parallel, cached: min(prefixes, most/4),
		queue: cmp.Or(o.MaxQueue, defaultQueue)}
	lim.seqs = min(2*parallel, most-lim.cached)
	cells := max(context, prefixes*1024+parallel*128)
	lim.shelf = cells / 2
	return lim, (cells + 255) / 256 * 256
}

// refused returns the library's own words for a failure, or else what.
func refused(what string) error {
	if cause := engineLog.text(); cause != "" {
		return errors.New(cause)
	}
	return errors.New(what)
}

// ID implements llm.Model.
func (m *Model) ID() string { return m.id }

// Describe implements llm.Describer.
func (m *Model) Describe() llm.Description {
	return llm.Description{ContextSize: m.contextSize, Local: true, Formats: true,
		Logprobs: true, Tools: m.template.calls != noCalls}
}

// Template returns the Jinja source of the chat template in use, and its
// digest ("sha256:" and 64 hex digits).
func (m *Model) Template() (source, digest string) {
	return m.template.source, m.template.digest()
}

// Close frees the model, and its weights with the last Model that stands on
// them. Requests that are running fail with ErrClosed.
func (m *Model) Close() error {
	m.life.Lock()
	defer m.life.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	m.embedder.close()
	if m.sched != nil {
		m.sched.close()
	}
	m.engine.load.Lock()
	defer m.engine.load.Unlock()
	return m.free()
}

// free gives back what prepare made. The caller holds the engine's load.
func (m *Model) free() error {
	if m.dev != nil {
		m.dev.close()
	}
	m.engine.freeAdapters(m.adapters)
	return m.engine.release(m.weights)
}
