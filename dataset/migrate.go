package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"retort/dataset/journal"
	"retort/internal/files"
)

// migrate brings the store in dir, which is locked, from format version to the
// next. Each step can be cut short and begun again.
func (s *Store) migrate(version int) error {
	switch version {
	case 1:
		if err := s.addJournal(); err != nil {
			return fmt.Errorf("bring to format 2: %w", err)
		}
	}
	return nil
}

// addJournal brings a store from format 1 to 2: it writes the journal of what
// Badger holds. The mark goes last, since it is what tells the formats apart.
func (s *Store) addJournal() error {
	acknowledged, err := readMark(s.dir)
	if err != nil {
		return err
	}
	if err := s.openVerified(acknowledged); err != nil {
		return err
	}
	err = s.writeJournal(context.Background(), journalDir+unfinished)
	err = errors.Join(err, guard(s.db.Close))
	s.db = nil
	if err != nil {
		return err
	}
	target := filepath.Join(s.dir, journalDir)
	if err := os.RemoveAll(target); err != nil { // of an earlier try
		return err
	}
	if err := os.Rename(target+unfinished, target); err != nil {
		return err
	}
	if err := files.SyncDir(s.dir); err != nil {
		return err
	}
	if err := writeFormat(s.dir, newStoreID()); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.dir, markFile)); err != nil {
		return err
	}
	return files.SyncDir(s.dir)
}

// openVerified opens Badger alone, and checks that everything is there.
func (s *Store) openVerified(acknowledged state) error {
	sealed, err := s.checkSeal()
	if err == nil {
		err = s.prepareFiles(sealed)
	}
	if err == nil {
		err = s.openBadger(acknowledged.Changes > 0)
	}
	if err != nil {
		return err
	}
	found, err := s.foundState()
	if err != nil {
		return err
	}
	if found.Changes < acknowledged.Changes {
		return fmt.Errorf("%w: %d of %d examples and %d of %d changes are there", ErrDamaged,
			found.Positions, acknowledged.Positions, found.Changes, acknowledged.Changes)
	}
	return s.verifyAll()
}

// writeJournal writes what Badger holds as a journal, to a folder of the store.
func (s *Store) writeJournal(ctx context.Context, name string) error {
	path := filepath.Join(s.dir, name)
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	sn, err := s.snapshot()
	if err != nil {
		return err
	}
	defer sn.close()
	return journal.Write(path, sn.state.Changes, sn.journalEntries(ctx, 0))
}

// The mark of format 1 held the state that was last acknowledged, in two slots
// that were written in turn.
const (
	markFile     = "mark"
	markSlots    = 2
	markSlotSize = 4096
)

var markKey = []byte("mark")

// readMark returns the newer state of the two slots.
func readMark(dir string) (state, error) {
	f, err := os.Open(filepath.Join(dir, markFile))
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, fileError{markFile, "it is missing"}
	}
	if err != nil {
		return state{}, err
	}
	defer f.Close()
	var newest state
	found := false
	for slot := range markSlots {
		raw := make([]byte, recordOverhead+stateSize1)
		if _, err := f.ReadAt(raw, int64(slot)*markSlotSize); err != nil {
			continue // shorter than it was made: a damaged slot
		}
		st, err := decodeState(markKey, raw)
		if err != nil || found && st.Changes < newest.Changes {
			continue
		}
		newest, found = st, true
	}
	if !found {
		return state{}, fileError{markFile, "no slot is readable"}
	}
	return newest, nil
}
