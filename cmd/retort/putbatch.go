package main

import (
	"context"

	"retort/dataset"
)

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
