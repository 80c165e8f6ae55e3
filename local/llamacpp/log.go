package llamacpp

import (
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/hybridgroup/yzma/pkg/llama"
)

// engineLog keeps the last error lines of the library, which prints nothing
// itself: they say why it refused a file.
var engineLog logTail

// logTail is the tail of the library's log, errors and warnings alone. The
// library may write from any of its threads.
type logTail struct {
	mu    sync.Mutex
	lines []string
	part  strings.Builder // a line that is not finished yet
	keep  bool            // whether part is of a level worth keeping
}

// maxLogLines bounds what is remembered.
const maxLogLines = 8

func (l *logTail) write(level llama.LogLevel, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if level != llama.LogLevelContinue {
		l.part.Reset()
		l.keep = level == llama.LogLevelError || level == llama.LogLevelWarn
	}
	if !l.keep {
		return
	}
	l.part.WriteString(text)
	if strings.HasSuffix(text, "\n") {
		l.lines = append(l.lines, oneLine(l.part.String()))
		l.lines = l.lines[max(0, len(l.lines)-maxLogLines):]
		l.part.Reset()
	}
}

func (l *logTail) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = nil
	l.part.Reset()
}

// last returns the oldest line since reset, which names the cause where later
// ones only repeat that it failed; "" if there is none.
func (l *logTail) cause() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == 0 {
		return ""
	}
	return l.lines[0]
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
