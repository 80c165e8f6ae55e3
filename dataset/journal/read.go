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
	return readSince(ctx, dir, 0, false)
}

// Salvage yields what Read does, and the intact changes of a torn end. Some of
// those may never have been acknowledged.
func Salvage(ctx context.Context, dir string) iter.Seq2[Entry, error] {
	return readSince(ctx, dir, 0, true)
}

// Torn reports whether something follows the last whole group: what a crash left,
// or a damaged group.
func Torn(dir string) (bool, error) {
	numbers, err := segments(dir)
	if err != nil || len(numbers) == 0 {
		return false, err
	}
	last := numbers[len(numbers)-1]
	path := filepath.Join(dir, segmentName(last))
	s := &scan{final: true, yield: func(Entry, error) bool { return true }}
	s.run(path, last, headerOf(dir, last).After)
	return s.seen > s.end, nil
}

// ReadSince yields the changes with numbers above change. Segments that hold none
// of them are not read.
func ReadSince(ctx context.Context, dir string, change uint64) iter.Seq2[Entry, error] {
	return readSince(ctx, dir, change, false)
}

func readSince(ctx context.Context, dir string, change uint64, keepTorn bool) iter.Seq2[Entry, error] {
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
		r := reading{ctx, dir, keepTorn, func(e Entry, err error) bool {
			return err == nil && e.Change <= change || yield(e, err)
		}}
		r.segments(numbers[first:], due, after)
	}
}

// reading passes what is read to yield, until that returns false.
type reading struct {
	ctx      context.Context
	dir      string
	keepTorn bool
	yield    func(Entry, error) bool
}

// segments reads those with the given numbers. The first should have the number
// due, and follow upon change after.
func (r reading) segments(numbers []int, due int, after uint64) {
	for i, n := range numbers {
		for ; due < n; due++ {
			if !r.yield(Entry{}, fmt.Errorf("%s: %w: it is missing", segmentName(due), ErrDamaged)) {
				return
			}
			after = headerOf(r.dir, n).After
		}
		due++
		s := &scan{final: i == len(numbers)-1, keep: r.keepTorn, yield: func(e Entry, err error) bool {
			return r.ctx.Err() == nil && r.yield(e, err)
		}}
		s.run(filepath.Join(r.dir, segmentName(n)), n, after)
		if err := r.ctx.Err(); err != nil {
			r.yield(Entry{}, err)
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
