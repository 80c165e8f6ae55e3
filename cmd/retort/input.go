package main

import (
	"context"
	"io"
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
