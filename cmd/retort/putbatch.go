package main

import (
	"context"
	"os"
	"runtime/debug"

	"retort/dataset"
)

// streamingMemory is what the Go part of this process should take, in bytes, while
// any number of examples pass through it: more is mostly garbage of building
// Badger's tables.
const streamingMemory = 272 << 20

// boundMemory keeps to streamingMemory until the function that it returns is
// called. GOMEMLIMIT takes precedence.
func boundMemory() (unbound func()) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	limit, percent := debug.SetMemoryLimit(streamingMemory), debug.SetGCPercent(100) // seldom below the limit
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}

// A putBatch is put when it has so many examples, or about so many bytes of text.
const (
	putBatchExamples = 8000
	putBatchSize     = 16 << 20
)

// putBatch puts many examples, some at a time: the store commits a long list
// faster than many short ones.
type putBatch struct {
	store  exampleStore
	list   []dataset.Example
	size   int
	given  int // examples that were put
	stored int // of them, new
}

func (b *putBatch) add(ctx context.Context, ex dataset.Example) error {
	b.list = append(b.list, ex)
	b.size += textSize(ex)
	if len(b.list) < putBatchExamples && b.size < putBatchSize {
		return nil
	}
	return b.flush(ctx)
}

// flush puts what is left. It must be called in the end.
func (b *putBatch) flush(ctx context.Context) error {
	n, err := b.store.Put(ctx, b.list...)
	b.given, b.stored = b.given+len(b.list), b.stored+n
	b.list, b.size = b.list[:0], 0
	return err
}
