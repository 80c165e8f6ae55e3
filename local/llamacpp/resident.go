package llamacpp

import (
	"context"
	"errors"
	"iter"

	"retort/llm"
)

// Resident is a model of a Pool. It may be unloaded while it is idle; the next
// request loads it again. It can do what a Model can.
type Resident struct {
	pool *Pool
	path string
	opts Options
	need need // before anything is widened
	of   identity
	id   string
	what llm.Description

	loading chan struct{} // holds one token while a request loads the model, or Close ends it

	// Of the pool's mutex.
	model  *Model // nil while unloaded
	counts bool   // its memory is taken, or about to be
	takes  need   // the memory that counts
	closed bool
	users  int    // requests under way
	used   uint64 // clock of the last use
}

// Interfaces that callers may find in a Resident.
var (
	_ llm.BatchModel = (*Resident)(nil)
	_ llm.Scorer     = (*Resident)(nil)
	_ llm.Embedder   = (*Resident)(nil)
	_ llm.Tokenizer  = (*Resident)(nil)
	_ llm.Describer  = (*Resident)(nil)
)

// use returns the model, loaded, and what to call when it is not needed any
// more.
func (r *Resident) use(ctx context.Context) (*Model, func(), error) {
	m := r.pin()
	if m == nil {
		select {
		case <-ctx.Done():
			r.unpin()
			return nil, nil, ctx.Err()
		case r.loading <- struct{}{}:
		}
		defer func() { <-r.loading }()
		if m = r.loaded(); m == nil {
			var err error
			if m, err = r.load(ctx); err != nil {
				r.unpin()
				return nil, nil, err
			}
		}
	}
	return m, r.unpin, nil
}

// pin keeps the model from being unloaded; nil if it is already.
func (r *Resident) pin() *Model {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	r.users++
	r.pool.clock++
	r.used = r.pool.clock
	return r.model
}

func (r *Resident) unpin() {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	r.users--
}

func (r *Resident) loaded() *Model {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	return r.model
}

// load opens the model, and unloads others until there is room.
func (r *Resident) load(ctx context.Context) (*Model, error) {
	for {
		gone := r.pool.unloaded()
		err := r.pool.reserve(r)
		if err == nil {
			var m *Model
			if m, err = r.pool.engine.Open(ctx, r.path, r.options()); err == nil {
				r.pool.mu.Lock()
				defer r.pool.mu.Unlock()
				r.model, r.takes = m, r.need
				if m.settings.widened {
					r.takes = r.need.widened()
				}
				return m, nil
			}
		}
		if !errors.Is(err, ErrNoMemory) || !r.pool.unloadOne(gone) {
			r.pool.mu.Lock()
			defer r.pool.mu.Unlock()
			r.counts = false
			return nil, err
		}
	}
}

// options are those that the model is to be opened with, now that r.takes is
// settled: where there was no room in the pool for wider weights they stay.
func (r *Resident) options() Options {
	opts := r.opts
	opts.narrow = r.takes.growth > 0
	return opts
}

// Close gives the model's memory back and takes it out of the pool.
func (r *Resident) Close() error {
	r.loading <- struct{}{}
	defer func() { <-r.loading }()
	r.pool.forget(r)
	r.pool.mu.Lock()
	m := r.model
	r.model, r.counts, r.closed = nil, false, true
	r.pool.mu.Unlock()
	if m == nil {
		return nil
	}
	return m.Close()
}

// ID implements llm.Model.
func (r *Resident) ID() string { return r.id }

// Describe implements llm.Describer.
func (r *Resident) Describe() llm.Description { return r.what }

// Generate implements llm.Model.
func (r *Resident) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		m, done, err := r.use(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		defer done()
		m.Generate(ctx, req)(yield)
	}
}

// GenerateN implements llm.BatchModel.
func (r *Resident) GenerateN(ctx context.Context, req llm.Request, n int) iter.Seq2[llm.Response, error] {
	return func(yield func(llm.Response, error) bool) {
		m, done, err := r.use(ctx)
		if err != nil {
			yield(llm.Response{}, err)
			return
		}
		defer done()
		m.GenerateN(ctx, req, n)(yield)
	}
}

// Score implements llm.Scorer.
func (r *Resident) Score(ctx context.Context, req llm.Request, continuations []string) ([]llm.Score, error) {
	m, done, err := r.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return m.Score(ctx, req, continuations)
}

// Embed implements llm.Embedder.
func (r *Resident) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	m, done, err := r.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	e, ok := llm.As[llm.Embedder](m)
	if !ok {
		return nil, m.wrap("embed", llm.ErrUnsupported)
	}
	return e.Embed(ctx, texts)
}

// Tokenize implements llm.Tokenizer.
func (r *Resident) Tokenize(messages []llm.Message, completion string) (llm.Tokens, error) {
	m, done, err := r.use(context.Background())
	if err != nil {
		return llm.Tokens{}, err
	}
	defer done()
	return m.Tokenize(messages, completion)
}
