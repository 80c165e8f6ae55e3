package llamacpp

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// endsAfter is a context that has ended once it was asked a number of times.
type endsAfter struct {
	context.Context
	left atomic.Int32
}

func (c *endsAfter) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// Whenever its context ends, a model is not read to its end, and can be read then.
func TestOpen_stopsReading(t *testing.T) {
	e := testEngine(t)
	for name, path := range map[string]string{"the file": tinyModel(t, "llama"), "a copy": tinyQ5(t, "llama")} {
		whole := &endsAfter{Context: t.Context()}
		whole.left.Store(1 << 20)
		m, err := e.Open(whole, path, tinyOptions)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		asked := 1<<20 - whole.left.Load()
		if asked < 10 { // once for each tensor
			t.Errorf("%s: asked %d times whether to go on", name, asked)
		}
		for n := range asked - 1 {
			ctx := &endsAfter{Context: t.Context()}
			ctx.left.Store(n)
			if m, err := e.Open(ctx, path, tinyOptions); !errors.Is(err, context.Canceled) {
				t.Errorf("%s, context ends when asked for the %dth of %d times: %v", name, n+1, asked, err)
				if err == nil {
					_ = m.Close()
				}
			}
		}
		openTiny(t, path, tinyOptions)
	}
}

// Who waits for another model to be read can stop waiting.
func TestOpen_stopsWaiting(t *testing.T) {
	e, path := testEngine(t), tinyModel(t, "llama")
	e.load.Lock()
	defer e.load.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := e.Open(ctx, path, tinyOptions); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
