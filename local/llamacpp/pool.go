package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Pool keeps models in memory for as long as there is room for them: before it
// loads one that would not fit, it unloads those that are idle, the one first
// that was used longest ago. A model is never unloaded under a request. It is
// safe for concurrent use.
type Pool struct {
	engine *Engine
	budget uint64

	unloading sync.Mutex // held by the one request that unloads a model

	mu    sync.Mutex
	all   []*Resident
	clock uint64
	gone  uint64 // how many models were unloaded
}

// NewPool returns a Pool whose models take no more than budget bytes together,
// by estimate; 0 leaves it at what the machine has free.
func (e *Engine) NewPool(budget uint64) *Pool { return &Pool{engine: e, budget: budget} }

// Open loads the GGUF file at path as Engine.Open does, after it has unloaded
// what it must. ErrNoMemory means that there is no room even without the idle
// models.
func (p *Pool) Open(ctx context.Context, path string, opts Options) (*Resident, error) {
	if err := opts.check(ctx, path); err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	r := &Resident{pool: p, path: path, opts: opts, loading: make(chan struct{}, 1)}
	if host, _, err := estimate(path, opts, false); err == nil {
		r.need = host
	}
	var err error
	if r.of, err = identify(path); err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	p.mu.Lock()
	p.all = append(p.all, r)
	p.mu.Unlock()
	m, done, err := r.use(ctx)
	if err != nil {
		p.forget(r)
		return nil, err
	}
	defer done()
	p.mu.Lock() // Loaded looks at the names of all
	defer p.mu.Unlock()
	r.id, r.what = m.ID(), m.Describe()
	return r, nil
}

// reserve takes what r needs out of the budget, unless r is closed.
func (p *Pool) reserve(r *Resident) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if r.counts {
		return nil
	}
	r.takes = r.need.widened()
	if p.budget == 0 {
		r.counts = true
		return nil
	}
	taken, shared := p.taken(r.of)
	n := r.need.beside(shared)
	if taken+n+r.need.growth > p.budget {
		r.takes = r.need
	}
	if taken+n > p.budget {
		return fmt.Errorf("open model %q: %w: it takes about %s, and %s of %s are taken", r.path, ErrNoMemory,
			readable(n), readable(taken), readable(p.budget))
	}
	r.counts = true
	return nil
}

// taken returns what the loaded models need, and whether the weights of are
// among them.
func (p *Pool) taken(of identity) (sum uint64, shared bool) {
	seen := make(map[identity]bool)
	for _, r := range p.all {
		if r.counts {
			sum += r.takes.beside(seen[r.of])
			seen[r.of] = true
		}
	}
	return sum, seen[of]
}

// unloaded returns how many models were unloaded so far.
func (p *Pool) unloaded() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// unloadOne unloads the idle model that was used longest ago, unless another
// request has unloaded one since there were that many; false if none is idle.
func (p *Pool) unloadOne(since uint64) bool {
	p.unloading.Lock()
	defer p.unloading.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone != since {
		return true
	}
	var old *Resident
	for _, r := range p.all {
		if r.model != nil && r.users == 0 && (old == nil || r.used < old.used) {
			old = r
		}
	}
	if old == nil {
		return false
	}
	m := old.model
	old.model, old.counts = nil, false
	p.mu.Unlock()
	_ = m.Close() // what it could report, the library has reported before
	p.mu.Lock()
	p.gone++ // now that its memory is free
	return true
}

func (p *Pool) forget(r *Resident) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = slices.DeleteFunc(p.all, func(x *Resident) bool { return x == r })
}

// Loaded returns the names of the models that are in memory, the one first that
// was used longest ago.
func (p *Pool) Loaded() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(p.all), func(r *Resident) bool { return r.model == nil || r.id == "" })
	slices.SortFunc(all, func(a, b *Resident) int { return int(int64(a.used) - int64(b.used)) })
	var names []string
	for _, r := range all {
		names = append(names, r.id)
	}
	return names
}

// Close closes all models of the pool. Requests that are running fail with
// ErrClosed.
func (p *Pool) Close() error {
	p.mu.Lock()
	all := slices.Clone(p.all)
	p.mu.Unlock()
	var errs []error
	for _, r := range all {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}
