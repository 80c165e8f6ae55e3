package llamacpp

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hybridgroup/yzma/pkg/llama"
)

// identity tells one file from another, and from what its path named before.
type identity struct {
	path    string // without symbolic links
	size    int64
	changed time.Time
}

func identify(path string) (identity, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return identity{}, err
	}
	if real, err = filepath.Abs(real); err != nil {
		return identity{}, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return identity{}, err
	}
	return identity{path: real, size: info.Size(), changed: info.ModTime()}, nil
}

// weights is a model file in memory. All Models of that file stand on it.
// Engine.load guards it.
type weights struct {
	handle  llama.Model
	of      identity
	users   int   // Models that are open
	layers  int32 // on the GPU
	widened bool
}

// admit decides how the model at path is to run, and refuses it if there is no
// memory for it. The caller holds e.load.
func (e *Engine) admit(path string, opts Options) (settings, need, error) {
	of, err := identify(path)
	if err != nil {
		return settings{}, need{}, err
	}
	loaded := e.weights[of]
	shared := loaded != nil
	chosen := e.choose(opts, func(g gpu) bool {
		if shared {
			return loaded.layers > 0
		}
		_, takes, err := estimate(path, opts, true)
		return err == nil && takes.sum() <= g.free
	})
	takes, _, err := estimate(path, opts, chosen.layers > 0)
	if err != nil {
		return chosen, need{}, nil // a model that the parser does not know; the engine may
	}
	free, known := e.free()
	if known && takes.beside(shared) > free {
		return chosen, takes, fmt.Errorf("%w: it takes about %s, and %s are free", ErrNoMemory, readable(takes.beside(shared)), readable(free))
	}
	chosen.widened = known && !opts.narrow && takes.growth > 0 && takes.widening(uint64(of.size)) <= free
	return chosen, takes, nil
}

// acquire returns the weights in the file at path for one more user, who has
// them as chosen if they are not in memory yet. The caller holds e.load.
func (e *Engine) acquire(ctx context.Context, path string, chosen settings) (*weights, error) {
	of, err := identify(path)
	if err != nil {
		return nil, err
	}
	w := e.weights[of]
	if w == nil {
		w = &weights{of: of, layers: chosen.layers}
		if w.handle, w.widened, err = load(ctx, path, chosen); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, refused(err.Error())
		}
		e.weights[of] = w
	}
	w.users++
	return w, nil
}

// load reads the file at path. On the processor its weights are copied into
// memory of this process, since the pages of a file cannot be made huge ones. The
// caller holds the engine's load.
func load(ctx context.Context, path string, chosen settings) (handle llama.Model, widened bool, err error) {
	p := llama.ModelDefaultParams()
	p.NGpuLayers = chosen.layers
	if chosen.layers > 0 || !hugePages {
		handle, err = readModel(reading{ctx: ctx}, path, p)
		return handle, false, err
	}
	p.LoadMode = llama.LoadModeNone
	err = inHugePages(func() error {
		if chosen.widened {
			if handle, err = loadWidened(ctx, path, p); err == nil {
				widened = true
				return nil
			}
			if ctx.Err() != nil {
				return err
			}
			engineLog.reset()
		}
		handle, err = readModel(reading{ctx: ctx}, path, p)
		return err
	})
	return handle, widened, err
}

// release takes back one acquire. The caller holds e.load.
func (e *Engine) release(w *weights) error {
	if w.users--; w.users > 0 {
		return nil
	}
	delete(e.weights, w.of)
	return llama.ModelFree(w.handle)
}

// adapter is a LoRA adapter in memory, and how strongly it is applied. It
// belongs to one Model, which frees it after its context.
type adapter struct {
	handle llama.AdapterLora
	scale  float32
}

// adapt loads the adapters of a Model of w. The library enters them in the
// model that it may be decoding with, so no decode runs meanwhile. The caller
// holds e.load, and frees what it is given, after an error too.
func (e *Engine) adapt(w *weights, wanted []Adapter) ([]adapter, error) {
	e.compute.Lock()
	defer e.compute.Unlock()
	var all []adapter
	for _, a := range wanted {
		h, err := llama.AdapterLoraInit(w.handle, a.Path)
		if err != nil || h == 0 {
			return all, fmt.Errorf("adapter %q: %w", a.Path, refused("the engine cannot apply it"))
		}
		all = append(all, adapter{h, float32(a.Scale)})
	}
	return all, nil
}

// freeAdapters undoes adapt.
func (e *Engine) freeAdapters(all []adapter) {
	e.compute.Lock()
	defer e.compute.Unlock()
	for _, a := range all {
		_ = llama.AdapterLoraFree(a.handle)
	}
}

// applyAdapters makes ctx compute with adapters.
func applyAdapters(ctx llama.Context, adapters []adapter) error {
	if len(adapters) == 0 { // the library refuses an empty list
		return nil
	}
	var handles []llama.AdapterLora
	var scales []float32
	for _, a := range adapters {
		handles, scales = append(handles, a.handle), append(scales, a.scale)
	}
	if code := llama.SetAdaptersLora(ctx, handles, scales); code != 0 {
		return refused(fmt.Sprintf("adapters: engine error %d", code))
	}
	return nil
}
