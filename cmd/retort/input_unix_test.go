//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestOpenInput_pipeWithAName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(path, os.O_RDWR, 0) // waits for no reader
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	readsUntilCancelled(t, path, nil)
}

// A pipe that has no other end yet is waited for until the context ends.
func TestOpenPatiently(t *testing.T) {
	for _, flag := range []int{os.O_RDONLY, os.O_WRONLY} {
		path := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := openPatiently(ctx, path, flag); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flag %d: error %v, want that of the context", flag, err)
		}
		other, err := os.OpenFile(path, os.O_RDWR, 0) // for what is left waiting
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
	}
}
