package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A mark is a small file beside Badger that holds the state as it was last
// acknowledged. Badger replays a damaged log up to the damage and calls that
// the whole; the mark is how the loss is noticed.
//
// The file has two slots, written in turn, so that a write that is cut short
// spoils only the older state. They lie in different disk sectors.
type mark struct {
	f    *os.File
	next int // slot to write
}

const (
	markFile     = "mark"
	markSlots    = 2
	markSlotSize = 4096
)

var markKey = []byte("mark")

// openMark opens the mark of the store in dir and returns the state it holds. A
// mark that is missing is made for a fresh store, and is damage for any other.
func openMark(dir string, fresh bool) (*mark, state, error) {
	path := filepath.Join(dir, markFile)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if fresh && errors.Is(err, fs.ErrNotExist) {
		if err := createMark(dir); err != nil {
			return nil, state{}, err
		}
		f, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, state{}, fmt.Errorf("file %q: %w: it is missing", markFile, ErrDamaged)
	}
	if err != nil {
		return nil, state{}, err
	}
	m := &mark{f: f}
	st, err := m.read()
	if err != nil {
		err = fmt.Errorf("file %q: %w", markFile, err)
	}
	return m, st, err
}

// createMark writes a mark of an empty store. It appears whole or not at all.
func createMark(dir string) error {
	blank := make([]byte, markSlots*markSlotSize)
	copy(blank, encodeRecord(markKey, 0, state{}.encode()))
	return replaceFile(filepath.Join(dir, markFile), blank)
}

// read returns the newest state in m.
func (m *mark) read() (state, error) {
	var newest state
	found := false
	for slot := range markSlots {
		raw := make([]byte, recordOverhead+stateSize)
		if _, err := m.f.ReadAt(raw, int64(slot)*markSlotSize); err != nil {
			continue // shorter than it was made: a damaged slot
		}
		st, err := decodeState(markKey, raw)
		if err != nil || found && st.Changes < newest.Changes {
			continue
		}
		newest, found = st, true
		m.next = (slot + 1) % markSlots
	}
	if !found {
		return state{}, fmt.Errorf("%w: no slot is readable", ErrDamaged)
	}
	return newest, nil
}

// write puts st on disk. Sync is also what makes a Mac empty the disk's own
// cache, which Badger's msync does not.
func (m *mark) write(st state) error {
	raw := encodeRecord(markKey, st.Changes, st.encode())
	if _, err := m.f.WriteAt(raw, int64(m.next)*markSlotSize); err != nil {
		return err
	}
	m.next = (m.next + 1) % markSlots
	return m.f.Sync()
}

func (m *mark) close() error { return m.f.Close() }
