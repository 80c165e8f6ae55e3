package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
)

// Read yields all changes of the journal in dir that belong to whole groups, in
// the order in which they were written. What is damaged is an error that wraps
// ErrDamaged in its place; only ctx, and an error of the file system, end the
// sequence.
func Read(ctx context.Context, dir string) iter.Seq2[Entry, error] {
	return ReadSince(ctx, dir, 0)
}

// ReadSince yields the changes with numbers above change. Segments that hold none
// of them are not read.
func ReadSince(ctx context.Context, dir string, change uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		numbers, err := segments(dir)
		if err == nil && len(numbers) == 0 {
			err = fmt.Errorf("%s: %w: it has no segments", filepath.Base(dir), ErrDamaged)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s: %w: it is missing", filepath.Base(dir), ErrDamaged)
		}
		if err != nil {
			yield(Entry{}, err)
			return
		}
		first, after := firstToRead(dir, numbers, change)
		due := 1
		if first > 0 {
			due = numbers[first]
		}
		read(ctx, dir, numbers[first:], due, after, func(e Entry, err error) bool {
			return err == nil && e.Change <= change || yield(e, err)
		})
	}
}

// read yields what the segments with these numbers hold. The first should have
// the number due, and follow upon change after.
func read(ctx context.Context, dir string, numbers []int, due int, after uint64, yield func(Entry, error) bool) {
	for i, n := range numbers {
		for ; due < n; due++ {
			if !yield(Entry{}, fmt.Errorf("%s: %w: it is missing", segmentName(due), ErrDamaged)) {
				return
			}
			after = headerOf(dir, n).After
		}
		due++
		s := &scan{final: i == len(numbers)-1, yield: func(e Entry, err error) bool {
			return ctx.Err() == nil && yield(e, err)
		}}
		s.run(filepath.Join(dir, segmentName(n)), n, after)
		if err := ctx.Err(); err != nil {
			yield(Entry{}, err)
			return
		}
		if s.stopped {
			return
		}
		after = s.last
	}
}

// firstToRead returns the index of the first segment that may hold a change
// above change, and what change it follows upon.
func firstToRead(dir string, numbers []int, change uint64) (index int, after uint64) {
	for i := len(numbers) - 1; i > 0; i-- {
		if h := headerOf(dir, numbers[i]); h.isHeader() && !h.Snapshot && h.After <= change {
			return i, h.After
		}
	}
	return 0, 0
}

// headerOf returns the header of a segment, or the zero line if it is damaged.
func headerOf(dir string, number int) line {
	for l, err := range lines(filepath.Join(dir, segmentName(number))) {
		if err != nil || !l.isHeader() {
			break
		}
		return l.line
	}
	return line{}
}
