package llamacpp

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/hybridgroup/yzma/pkg/llama"

	"retort/models/gguf"
)

// loadWidened loads the model file at path with its matrices of Q5_0 stored as
// Q8_0: the same numbers, with which the library reads prompts faster. It is given
// a copy of the file, which exists in memory alone and until this returns. The
// copy is filled while the library reads the vocabulary, which mostly takes longer.
func loadWidened(ctx context.Context, path string, p llama.ModelParams) (llama.Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return loadCopy(ctx, f, p)
}

func loadCopy(ctx context.Context, f *gguf.File, p llama.ModelParams) (llama.Model, error) {
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
	handle, err := readModel(reading{ctx, filling}, out.Name(), p)
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

func startFilling(fill func(stop *atomic.Bool) error) *filling {
	f := &filling{done: make(chan struct{})}
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
	if f.err == nil && !f.waited.Load() {
		return errors.New("the engine has not waited for the copy")
	}
	return f.err
}

// ready waits for the copy. It reports whether it is there.
func (f *filling) ready(ctx context.Context) bool {
	f.waited.Store(true)
	select {
	case <-f.done:
		return f.err == nil
	case <-ctx.Done():
		return false
	}
}
