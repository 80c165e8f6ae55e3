package llamacpp

import (
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/hybridgroup/yzma/pkg/llama"
	"github.com/hybridgroup/yzma/pkg/loader"
	"github.com/jupiterrider/ffi"
)

// threadpool is a set of the library's threads that stay from one decode to the
// next. Without one the library starts its threads anew for every decode. 0 is
// none.
type threadpool uintptr

// threadpoolParams is ggml_threadpool_params of ggml.h.
type threadpoolParams struct {
	cpuMask   [512]bool // GGML_MAX_N_THREADS; all false lets the system choose
	threads   int32
	priority  int32
	poll      uint32 // how long a thread spins before it sleeps, 0 to 100
	strictCPU bool
	paused    bool
}

// defaultPoll is the library's own: about a tenth of a second.
const defaultPoll = 50

// threads returns the process's threadpool of n threads, made at the first use:
// contexts take turns (see Engine.compute), so they can share one. It is 0 where
// the library offers none.
func (e *Engine) threads(n int) threadpool {
	if n < 2 || n > len(threadpoolParams{}.cpuMask) {
		return 0
	}
	e.compute.Lock()
	defer e.compute.Unlock()
	if pool, ok := e.threadpools[n]; ok {
		return pool
	}
	var pool threadpool
	if create := e.procedure("CPU", "ggml_threadpool_new"); create != 0 {
		p := threadpoolParams{threads: int32(n), poll: defaultPoll}
		made, _, _ := purego.SyscallN(create, uintptr(unsafe.Pointer(&p)))
		runtime.KeepAlive(&p)
		pool = threadpool(made)
	}
	if e.threadpools == nil {
		e.threadpools = make(map[int]threadpool)
	}
	e.threadpools[n] = pool
	return pool
}

// procedure returns the address of a function that a backend gives by name, and
// that the binding does not know; 0 if there is none.
func (e *Engine) procedure(backend, name string) uintptr {
	reg := llama.GGMLBackendRegByName(backend)
	if reg == 0 {
		return 0
	}
	lib, err := loader.LoadLibrary(e.dir, "ggml-base")
	if err != nil {
		return 0
	}
	find, err := lib.Prep("ggml_backend_reg_get_proc_address", &ffi.TypePointer, &ffi.TypePointer, &ffi.TypePointer)
	if err != nil {
		return 0
	}
	text := append([]byte(name), 0)
	at, address := &text[0], uintptr(0)
	find.Call(unsafe.Pointer(&address), unsafe.Pointer(&reg), unsafe.Pointer(&at))
	runtime.KeepAlive(text)
	return address
}

// attach lets ctx compute with the threads of p.
func (p threadpool) attach(ctx llama.Context) {
	if p != 0 {
		llama.AttachThreadpool(ctx, uintptr(p), uintptr(p))
	}
}

// detach undoes attach: ctx starts threads of its own again.
func (p threadpool) detach(ctx llama.Context) {
	if p != 0 {
		llama.DetachThreadpool(ctx)
	}
}
