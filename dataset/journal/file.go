package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"retort/internal/files"
)

// A file of records, as for a backup, is snapshot segments one behind the other
// in a single file: the first has everything, each of the others what changed
// since the one before. Their headers name the store that the records are from.
// What follows the last footer was cut short, and is no part of it.

// FileTail is the end of a file of records.
type FileTail struct {
	Store string // ID of the store that it is from
	Last  uint64 // last change that it has
	end   int64  // offset, in bytes, of what follows the last footer
	parts int
}

// WriteFile adds to the file at path the entries of a store that changed after
// change since, up to change last. With since 0 it writes the file anew, and it
// appears whole or not at all. It is on disk when WriteFile returns.
func WriteFile(path, store string, since, last uint64, entries iter.Seq2[Entry, error]) error {
	if since == 0 {
		return files.Replace(path, func(w io.Writer) error {
			return writePart(w, 1, 0, store, last, entries)
		})
	}
	tail, err := ReadFileTail(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(tail.end)
	if err == nil {
		_, err = f.Seek(tail.end, io.SeekStart)
	}
	if err == nil {
		err = writePart(f, tail.parts+1, since, store, last, entries)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		err = errors.Join(err, f.Truncate(tail.end))
	}
	return errors.Join(err, f.Close())
}

// writePart writes a snapshot segment.
func writePart(out io.Writer, number int, after uint64, store string, last uint64, entries iter.Seq2[Entry, error]) error {
	w := bufio.NewWriterSize(out, 256<<10)
	line := header{segment: number, after: after, snapshot: true, store: store}.append(nil)
	if _, err := w.Write(line); err != nil {
		return err
	}
	var n uint64
	for e, err := range entries {
		if err != nil {
			return err
		}
		n++
		line = appendEntry(line[:0], e, e.Change)
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	if _, err := w.Write(appendFooter(line[:0], n, last)); err != nil {
		return err
	}
	return w.Flush()
}

// ReadFileTail reads the file at path to its end. The error wraps ErrDamaged if
// anything before its last footer is damaged, or it has none.
func ReadFileTail(path string) (FileTail, error) {
	var tail FileTail
	err := readFile(path, func(l located) error {
		switch {
		case l.isHeader():
			if tail.Store != "" && l.Store != tail.Store {
				return errors.New("it has records of two stores")
			}
			tail.Store = l.Store
		case l.End:
			tail.Last, tail.end = l.Last, l.end
			tail.parts++
		}
		return nil
	})
	if err == nil && tail.parts == 0 {
		err = fmt.Errorf("%s: %w: it has no footer", filepath.Base(path), ErrDamaged)
	}
	return tail, err
}

// ReadFile yields the records of the file at path, of some of them several
// versions. An error ends the sequence.
func ReadFile(ctx context.Context, path string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		tail, err := ReadFileTail(path)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		stopped := errors.New("stopped")
		err = readFile(path, func(l located) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case l.end > tail.end:
				return stopped
			case l.Change == 0:
				return nil
			case !yield(l.entry(), nil):
				return stopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(Entry{}, err)
		}
	}
}

// readFile passes each line up to the last footer to fn, and perhaps some of those
// behind it. Damage is an error if a footer follows it.
func readFile(path string, fn func(located) error) error {
	name := filepath.Base(path)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", name, fs.ErrInvalid)
	}
	p := part{}
	var held error
	for l, err := range lines(path) {
		if err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		if err == nil && held == nil {
			if why := p.next(l.line); why != "" {
				err = fmt.Errorf("%s: %w: %s", name, ErrDamaged, why)
			}
		}
		if err != nil && held == nil {
			held = err
		}
		if held != nil {
			if err == nil && l.End {
				return held
			}
			continue
		}
		if err := fn(l); err != nil {
			return err
		}
	}
	return nil
}

// part checks the order of the lines in a file of records.
type part struct {
	number  int
	inside  bool
	entries uint64
	newest  uint64 // change
	last    uint64
}

// maxLast is more than the last change of any store: as many can follow upon it.
const maxLast = 1 << 62

// next says what is wrong with a line where it stands, or "".
func (p *part) next(l line) string {
	switch {
	case l.isHeader():
		if p.inside || l.Segment != p.number+1 || l.After != p.last || !l.Snapshot {
			return "a part of it is missing"
		}
		p.number, p.inside, p.entries = l.Segment, true, 0
	case !p.inside:
		return "something stands outside of its parts"
	case l.End:
		if l.Entries != p.entries || l.Last < p.last {
			return fmt.Sprintf("it has %d of %d records", p.entries, l.Entries)
		}
		if l.Last < p.newest || l.Last > maxLast {
			return fmt.Sprintf("its last change is said to be %d", l.Last)
		}
		p.inside, p.last = false, l.Last
	case l.Change == 0:
		return "it has a record of no change"
	default:
		p.entries++
		p.newest = max(p.newest, l.Change)
	}
	return ""
}
