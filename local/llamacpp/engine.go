package llamacpp

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hybridgroup/yzma/pkg/llama"

	"retort/internal/memory"
)

// What requests and Open answer beside the errors of package llm.
var (
	// ErrClosed: the Model was closed.
	ErrClosed = errors.New("model is closed")

	// ErrBusy: as many requests wait for the Model as may do so.
	ErrBusy = errors.New("too many requests are waiting")

	// ErrNoMemory: the model would not fit into the memory that is free.
	ErrNoMemory = errors.New("not enough memory")
)

// Engine is the llama.cpp library of this process. It is safe for concurrent
// use, and lives as long as the process.
type Engine struct {
	dir string

	// compute is held during every decode. Two contexts that decode at once
	// spin against each other's threads, which is slower than taking turns.
	compute     sync.Mutex
	threadpools map[int]threadpool // by the number of threads; compute guards it

	// load is held while the library reads a model, so that engineLog holds
	// what it says about that one. It guards weights, too.
	load    loadLock
	weights map[identity]*weights

	free func() (bytes uint64, known bool) // memory that this process may still take
}

// loaded is the one Engine of the process: the library's handles are global.
var loaded struct {
	sync.Mutex
	engine *Engine
}

// Load opens the library in dir, the folder that holds libllama and its
// backends (see Find). A second Load of the same folder returns the same
// Engine; another folder is an error, since a process holds one library.
func Load(dir string) (*Engine, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("load engine %q: %w", dir, err)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	loaded.Lock()
	defer loaded.Unlock()
	if e := loaded.engine; e != nil {
		if e.dir != abs {
			return nil, fmt.Errorf("load engine %q: this process already runs the one in %q", dir, e.dir)
		}
		return e, nil
	}
	if err := llama.Load(abs); err != nil {
		return nil, fmt.Errorf("load engine %q: %s", dir, oneLine(err.Error()))
	}
	llama.LogSet(logCallback())
	llama.BackendInit()
	if err := llama.GGMLBackendLoadAllFromPath(abs); err != nil {
		return nil, fmt.Errorf("load engine %q: %s", dir, oneLine(err.Error()))
	}
	if llama.GGMLBackendDeviceCount() == 0 {
		return nil, fmt.Errorf("load engine %q: it has no backend for this processor", dir)
	}
	loaded.engine = &Engine{dir: abs, load: newLoadLock(), weights: make(map[identity]*weights), free: memory.Free}
	return loaded.engine, nil
}

// Info describes an Engine for people.
type Info struct {
	Dir      string   // the folder it was loaded from
	Devices  []string // what it computes on, such as "CPU: AMD EPYC"
	Features string   // the instruction sets in use, in the library's own words
}

// Info says what the engine runs on.
func (e *Engine) Info() Info {
	info := Info{Dir: e.dir, Features: strings.TrimSpace(llama.PrintSystemInfo())}
	for i := range llama.GGMLBackendDeviceCount() {
		d := llama.GGMLBackendDeviceGet(i)
		info.Devices = append(info.Devices,
			llama.GGMLBackendDeviceName(d)+": "+strings.TrimSpace(llama.GGMLBackendDeviceDescription(d)))
	}
	return info
}

// oneLine joins the lines of a foreign error text.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
