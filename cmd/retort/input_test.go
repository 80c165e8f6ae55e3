package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestInterruptible(t *testing.T) {
	if text, err := io.ReadAll(interruptible(t.Context(), strings.NewReader("all of it"))); string(text) != "all of it" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	waiting, end := io.Pipe()
	defer end.Close()
	readsUntilCancelled(t, "-", waiting)
}

// readsUntilCancelled wants the wait for an input that gives nothing to end with the
// context.
func readsUntilCancelled(t *testing.T, path string, stdin io.Reader) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	in, size, err := openInput(ctx, path, stdin)
	if err != nil || size != -1 {
		t.Fatal(size, err)
	}
	defer in.Close()
	cancel()
	if _, err := in.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}
