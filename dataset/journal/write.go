package journal

import (
	"bufio"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"retort/internal/files"
)

// Write makes a journal of entries, the latest version of each record, in dir,
// which must not exist. It is on disk when Write returns. last is the number of
// the last change that entries sum up; the next one that is appended follows upon
// it.
func Write(dir string, last uint64, entries iter.Seq2[Entry, error]) error {
	if err := write(dir, last, entries); err != nil {
		return fmt.Errorf("write journal %q: %w", dir, err)
	}
	return nil
}

func write(dir string, last uint64, entries iter.Seq2[Entry, error]) (err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	w := &writer{dir: dir, last: last}
	defer func() {
		if w.f != nil {
			w.f.Close()
		}
	}()
	if err := w.begin(); err != nil {
		return err
	}
	for e, err := range entries {
		if err == nil {
			err = w.add(e)
		}
		if err != nil {
			return err
		}
	}
	if err := w.end(); err != nil {
		return err
	}
	return files.SyncDir(dir)
}

// writer makes the segments of a snapshot, one after the other.
type writer struct {
	dir     string
	last    uint64
	f       *os.File
	buf     *bufio.Writer
	number  int
	size    int64 // bytes, of the present segment
	entries uint64
	scratch []byte
}

func (w *writer) begin() (err error) {
	w.number++
	w.f, err = os.OpenFile(filepath.Join(w.dir, segmentName(w.number)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w.buf, w.size, w.entries = bufio.NewWriterSize(w.f, 256<<10), 0, 0
	w.scratch = header{segment: w.number, after: w.last, snapshot: true}.append(w.scratch[:0])
	_, err = w.buf.Write(w.scratch)
	return err
}

func (w *writer) add(e Entry) error {
	if w.size >= maxSegment {
		if err := w.end(); err != nil {
			return err
		}
		if err := w.begin(); err != nil {
			return err
		}
	}
	w.scratch = appendEntry(w.scratch[:0], e, e.Change)
	w.size, w.entries = w.size+int64(len(w.scratch)), w.entries+1
	_, err := w.buf.Write(w.scratch)
	return err
}

func (w *writer) end() error {
	w.scratch = appendFooter(w.scratch[:0], w.entries, w.last)
	if _, err := w.buf.Write(w.scratch); err != nil {
		return err
	}
	if err := w.buf.Flush(); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	err := w.f.Close()
	w.f = nil
	return err
}
