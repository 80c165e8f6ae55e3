package llamacpp

import (
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/hybridgroup/yzma/pkg/llama"
)

// engineLog keeps the first error that the library reports, which prints
// nothing itself: it says why the library refused a file, where later ones
// repeat that it did.
var engineLog firstError

// firstError is the first line of level error since the last reset. The library
// may write from any of its threads.
type firstError struct {
	mu   sync.Mutex
	line string
	part strings.Builder // a line that is not finished yet
	keep bool            // whether part is an error
}

func (l *firstError) write(level llama.LogLevel, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if level != llama.LogLevelContinue {
		l.part.Reset()
		l.keep = level == llama.LogLevelError
	}
	if !l.keep || l.line != "" {
		return
	}
	l.part.WriteString(text)
	if strings.HasSuffix(text, "\n") {
		l.line = oneLine(l.part.String())
	}
}

func (l *firstError) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = ""
	l.part.Reset()
}

func (l *firstError) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.line
}

// logCallback returns the C function that feeds engineLog. Callbacks are never
// freed and few may exist, so there is one.
var logCallback = sync.OnceValue(func() uintptr {
	return purego.NewCallback(func(level int32, text *byte, _ uintptr) uintptr {
		if text != nil {
			engineLog.write(llama.LogLevel(level), goString(text))
		}
		return 0
	})
})

// goString copies a C string.
func goString(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}
