package llamacpp

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/ebitengine/purego"
	"github.com/hybridgroup/yzma/pkg/llama"

	"retort/models/gguf"
)

// loadWidened loads the model file at path with its matrices of Q5_0 stored as
// Q8_0: the same numbers, with which the library reads prompts faster. It is given
// a copy of the file, which exists in memory alone and until this returns. The
// copy is filled while the library reads the vocabulary, which mostly takes longer.
func loadWidened(path string, p llama.ModelParams) (llama.Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return loadCopy(f, p)
}

func loadCopy(f *gguf.File, p llama.ModelParams) (llama.Model, error) {
	layout, err := f.Retype(wider)
	if err != nil {
		return 0, err
	}
	out, err := memoryFile(layout.Size)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	if _, err := out.WriteAt(layout.Header, 0); err != nil {
		return 0, err
	}
	filling := startFilling(func(stop *atomic.Bool) error {
		return copyWidened(out, f, parts(f.Tensors, layout.Tensors), stop)
	})
	p.ProgressCallback = fillingCallback()
	handle, err := llama.ModelLoadFromFile(out.Name(), p)
	if fault := filling.end(); err == nil && fault != nil {
		err = errors.Join(fault, llama.ModelFree(handle))
	}
	return handle, err
}

// filling is the writing of a copy that is under way.
type filling struct {
	stop   atomic.Bool
	waited atomic.Bool // the library did, and so has read no more than there was
	done   chan struct{}
	err    error // valid once done is closed
}

// awaited is the filling of the model that is being loaded, of which there is
// one at a time.
var awaited atomic.Pointer[filling]

func startFilling(fill func(stop *atomic.Bool) error) *filling {
	f := &filling{done: make(chan struct{})}
	awaited.Store(f)
	go func() {
		defer close(f.done)
		f.err = fill(&f.stop)
	}()
	return f
}

// end returns when nothing is written any more. An error means that what the
// library has read may not be what was to be written.
func (f *filling) end() error {
	f.stop.Store(true)
	<-f.done
	awaited.Store(nil)
	if f.err == nil && !f.waited.Load() {
		return errors.New("the engine has not waited for the copy")
	}
	return f.err
}

// fillingCallback is the C function that the library calls before it reads the
// data of each tensor. It makes it wait for the copy, and give up where that
// failed.
var fillingCallback = sync.OnceValue(func() uintptr {
	return purego.NewCallback(func(float32, uintptr) uintptr {
		f := awaited.Load()
		f.waited.Store(true)
		if <-f.done; f.err != nil {
			return 0
		}
		return 1
	})
})
