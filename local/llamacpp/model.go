package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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
	Prefixes    int       // beginnings of prompts that stay cached; 8 if 0
	Threads     int       // the number of physical cores if 0

	exact bool // slower attention, whose result does not depend on how tokens are batched; for tests
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

	maxRows = 256 // tokens of one decode: bounds how long others wait for a prompt
)

// Model is a model in memory. It implements llm.Model, llm.BatchModel,
// llm.Scorer, llm.Embedder, llm.Tokenizer, llm.Describer and io.Closer, and is
// safe for concurrent use: requests from all goroutines are decoded together.
type Model struct {
	id          string
	template    *chatTemplate
	vocab       *vocab
	contextSize int
	sched       *scheduler
	dev         *llamaDevice
	handle      llama.Model
	engine      *Engine

	opts     Options
	embedder *embedder

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

// Open loads the GGUF file at path. The caller closes the Model.
func (e *Engine) Open(ctx context.Context, path string, opts Options) (*Model, error) {
	if err := opts.check(ctx, path); err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	m, err := e.open(path, opts)
	if err != nil {
		return nil, fmt.Errorf("open model %q: %w", path, err)
	}
	return m, nil
}

func (e *Engine) open(path string, opts Options) (*Model, error) {
	e.load.Lock()
	defer e.load.Unlock()
	engineLog.reset()
	handle, err := llama.ModelLoadFromFile(path, llama.ModelDefaultParams())
	if err != nil {
		return nil, refused(err.Error())
	}
	m := &Model{id: opts.ID, handle: handle, engine: e, vocab: newVocab(handle)}
	if m.id == "" {
		m.id = "llamacpp/" + strings.TrimSuffix(filepath.Base(path), ".gguf")
	}
	if err := m.prepare(e, opts); err != nil {
		if m.dev != nil {
			m.dev.close()
		}
		_ = llama.ModelFree(handle)
		return nil, err
	}
	return m, nil
}

// check looks for what is wrong before the C loader sees it.
func (o *Options) check(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if o.ContextSize < 0 || o.Parallel < 0 || o.Prefixes < 0 || o.Threads < 0 {
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
func (m *Model) prepare(e *Engine, opts Options) error {
	if llama.ModelIsRecurrent(m.handle) || llama.ModelIsHybrid(m.handle) || llama.ModelHasEncoder(m.handle) {
		return fmt.Errorf("architecture without a plain KV cache: %w", llm.ErrUnsupported)
	}
	m.opts, m.embedder = opts, newEmbedder()
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
	if looksAhead(m.handle) { // it makes vectors, and has no KV cache to answer with
		return nil
	}
	lim, cells := opts.limits(m.contextSize)
	if m.dev, err = e.newDevice(m, lim, cells, opts); err != nil {
		return err
	}
	if err := m.adapt(opts.Adapters); err != nil {
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
// has. One full conversation fits always. Beyond it there is room for each
// prefix to be of a few hundred tokens and each sequence to add a hundred: when
// that is not enough prefixes are dropped, and then requests take turns. A cell
// of the starter models is 18 to 23 KB, so the default is about 200 MB.
func (o *Options) limits(context int) (limits, int) {
	parallel, prefixes := o.Parallel, o.Prefixes
	if parallel == 0 {
		parallel = defaultParallel
	}
	if prefixes == 0 {
		prefixes = defaultPrefixes
	}
	most := int(llama.MaxParallelSequences())
	lim := limits{rows: max(maxRows, parallel), outputs: parallel, cached: min(prefixes, most/4)}
	lim.seqs = min(4*parallel, most-lim.cached)
	cells := context + prefixes*512 + parallel*128
	return lim, (cells + 255) / 256 * 256
}

// adapt applies adapters to the context.
func (m *Model) adapt(adapters []Adapter) error {
	if len(adapters) == 0 {
		return nil
	}
	var handles []llama.AdapterLora
	var scales []float32
	for _, a := range adapters {
		h, err := llama.AdapterLoraInit(m.handle, a.Path) // freed with the model
		if err != nil || h == 0 {
			return fmt.Errorf("adapter %q: %w", a.Path, refused("the engine cannot apply it"))
		}
		handles, scales = append(handles, h), append(scales, float32(a.Scale))
	}
	if code := llama.SetAdaptersLora(m.dev.ctx, handles, scales); code != 0 {
		return refused(fmt.Sprintf("adapters: engine error %d", code))
	}
	return nil
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

// Close frees the model. Requests that are running fail with ErrClosed.
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
		m.dev.close()
	}
	return llama.ModelFree(m.handle)
}
