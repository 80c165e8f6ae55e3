package main

import (
	"context"
	"io"
	"os"
)

// interruptible is what in gives, until ctx ends: nothing else ends the wait for a
// terminal or a pipe. What reads from in then goes on waiting, so it is for what is
// read until the end of the process.
func interruptible(ctx context.Context, in io.Reader) io.ReadCloser {
	out, into := io.Pipe()
	go func() {
		_, err := io.Copy(into, in)
		into.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { into.CloseWithError(ctx.Err()) })
	return out
}

// openPatiently is os.OpenFile until ctx ends: nothing else ends the wait for the other
// end of a pipe that has a name.
func openPatiently(ctx context.Context, path string, flag int) (*os.File, error) {
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.OpenFile(path, flag, 0)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
