package llamacpp

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ebitengine/purego"
	"github.com/hybridgroup/yzma/pkg/llama"
)

// loadLock is a mutex that can be waited for until a context ends.
type loadLock chan struct{}

func newLoadLock() loadLock { return make(loadLock, 1) }

func (l loadLock) Lock()   { l <- struct{}{} }
func (l loadLock) Unlock() { <-l }

func (l loadLock) lock(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reading is a model file that the library is reading, of which there is one at a
// time.
type reading struct {
	ctx     context.Context
	filling *filling // of the copy that is read; nil for the file itself
}

var underway atomic.Pointer[reading]

// readModel lets the library read the model file at path, until r.ctx ends. The
// caller holds the engine's load.
func readModel(r reading, path string, p llama.ModelParams) (llama.Model, error) {
	underway.Store(&r)
	defer underway.Store(nil)
	p.ProgressCallback = readingCallback()
	handle, err := llama.ModelLoadFromFile(path, p)
	if ended := r.ctx.Err(); err != nil && ended != nil {
		err = ended
	}
	return handle, err
}

// readingCallback is the C function that the library calls before it reads the data
// of each tensor. It gives up by 0.
var readingCallback = sync.OnceValue(func() uintptr {
	return purego.NewCallback(func(float32, uintptr) uintptr {
		if underway.Load().goOn() {
			return 1
		}
		return 0
	})
})

func (r *reading) goOn() bool {
	return r.ctx.Err() == nil && (r.filling == nil || r.filling.ready(r.ctx))
}
