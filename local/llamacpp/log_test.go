package llamacpp

import (
	"testing"

	"github.com/hybridgroup/yzma/pkg/llama"
)

func TestFirstError(t *testing.T) {
	var l firstError
	l.write(llama.LogLevelInfo, "loading\n")
	l.write(llama.LogLevelContinue, ".....\n")
	if got := l.text(); got != "" {
		t.Errorf("text = %q before any error", got)
	}
	l.write(llama.LogLevelError, "load: ")
	l.write(llama.LogLevelContinue, "no such  tensor\n")
	l.write(llama.LogLevelError, "load failed\n")
	if got := l.text(); got != "load: no such tensor" {
		t.Errorf("text = %q, want the first error on one line", got)
	}
	l.reset()
	if got := l.text(); got != "" {
		t.Errorf("text = %q after reset", got)
	}
}
