package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/dgraph-io/badger/v4"

	"retort/dataset/journal"
	"retort/internal/files"
)

const (
	badgerDir = "badger"
	lockFile  = "lock"
)

// Open opens the store in dir, and makes one where there is none. Stores of
// earlier formats are brought to the present one. The error wraps ErrBusy,
// ErrNoSpace or ErrDamaged where that is the cause; Check repairs what is
// damaged. Where the last process did not Close, Open reads the whole store.
//
// Where the disk is too full for writing, a store that was closed is opened all
// the same: everything can be read, and what would write gets ErrNoSpace.
func Open(dir string, opts Options) (*Store, error) {
	s := newStore(dir, opts)
	err := s.open()
	if err != nil {
		s.abandon()
	}
	if errors.Is(err, errCutOff) {
		s, err = rescue(dir, opts, err)
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %q: %w", dir, err)
	}
	return s, nil
}

func newStore(dir string, opts Options) *Store {
	s := &Store{dir: dir, policy: opts.Policy, free: opts.free, log: &badgerLog{}}
	if s.free == nil {
		s.free = files.FreeSpace
	}
	return s
}

// open looks before it leaps: Badger repairs by deleting, so it may not see the
// files before they are known to be whole and to have room.
func (s *Store) open() (err error) {
	if err := s.claim(); err != nil {
		return err
	}
	if err := s.ensureFormat(); err != nil {
		return err
	}
	sealed, err := s.checkSeal()
	if err != nil {
		return err
	}
	if err := s.makeRoom(); err != nil {
		if sealed && errors.Is(err, ErrNoSpace) {
			return s.openReadOnly(err)
		}
		return err
	}
	found, err := s.openFiles(sealed)
	if err != nil {
		if !sealed && errors.Is(err, ErrDamaged) && !errors.Is(err, errJournalCut) {
			err = fmt.Errorf("%w: %w", errCutOff, err)
		}
		return err
	}
	s.committer = newCommitter(s, found)
	return s.finishForgetting()
}

// claim takes the folder for this process, and ends what another one was cut
// short in.
func (s *Store) claim() (err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	s.lock, err = files.TryLock(filepath.Join(s.dir, lockFile))
	if errors.Is(err, files.ErrLocked) {
		return ErrBusy
	}
	if err != nil {
		return err
	}
	return adopt(s.dir)
}

// ensureFormat makes a new store, or brings an old one to the present format.
func (s *Store) ensureFormat() error {
	f, err := readFormat(s.dir)
	if err != nil {
		return err
	}
	if f.Version == format {
		return nil
	}
	if err := s.checkSpace(diskUse.toWork); err != nil {
		return err
	}
	if f.Version > 0 {
		return s.migrate(f.Version)
	}
	if err := os.MkdirAll(filepath.Join(s.dir, badgerDir), 0o700); err != nil {
		return err
	}
	j, err := journal.Open(filepath.Join(s.dir, journalDir))
	if err == nil {
		err = j.Close()
	}
	if err != nil {
		return asDamage(err)
	}
	return writeFormat(s.dir, newStoreID())
}

// openFiles opens the journal and Badger, and sees to it that they agree. It
// returns their state.
func (s *Store) openFiles(sealed bool) (found state, err error) {
	if err := s.prepareFiles(sealed); err != nil {
		return found, err
	}
	if s.journal, err = journal.Open(filepath.Join(s.dir, journalDir)); err != nil {
		return found, asDamage(err)
	}
	last := s.journal.Last()
	if _, err := os.Stat(filepath.Join(s.dir, badgerDir, badger.ManifestFilename)); errors.Is(err, fs.ErrNotExist) && last > 0 {
		// Badger would start anew and delete the tables that are left.
		return found, fileError{badgerDir + "/" + badger.ManifestFilename, "it is missing"}
	}
	if err := s.openBadger(last > 0); err != nil {
		return found, err
	}
	if found, err = s.foundState(); err != nil {
		return found, err
	}
	switch {
	case found.Changes > last:
		return found, fmt.Errorf("%w: it ends with change %d of %d", errJournalCut, last, found.Changes)
	case found.Changes < last:
		if found, err = s.catchUp(found); err != nil {
			return found, err
		}
	}
	if !sealed {
		err = s.verifyAll()
	}
	s.sums.load(s.dir, found)
	return found, err
}

// openReadOnly opens a store that was closed, without a write to the disk.
func (s *Store) openReadOnly(why error) error {
	s.readOnly = why
	opts := badgerOptions(filepath.Join(s.dir, badgerDir), s.log).WithReadOnly(true).WithBypassLockGuard(true)
	if err := s.openBadgerWith(opts, true); err != nil {
		return fmt.Errorf("%w (nor can it be opened for reading: %w)", why, err)
	}
	found, err := s.foundState()
	if err == nil {
		s.sums.load(s.dir, found)
		s.committer = newCommitter(s, found)
	}
	return err
}

// prepareFiles makes the files fit to be worked on. What a killed process wrote
// may be in the kernel's memory alone: it must be on disk before it is counted
// as stored.
func (s *Store) prepareFiles(sealed bool) error {
	if !sealed {
		if err := checkTables(s.dir); err != nil {
			return err
		}
		if err := removeEmptyLogs(s.dir); err != nil {
			return err
		}
		for _, name := range []string{badgerDir, journalDir} {
			err := syncFiles(filepath.Join(s.dir, name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return breakSeal(s.dir)
}

func (s *Store) verifyAll() error {
	report, err := s.verify(context.Background(), false)
	if err != nil {
		return err
	}
	return report.Err()
}

// finishForgetting writes the store anew if a process was cut short before it
// did, and opens it again.
func (s *Store) finishForgetting() error {
	pending, err := isPending(s.dir)
	if err != nil || !pending {
		return err
	}
	s.committer.stop()
	if err := s.compact(context.Background()); err != nil {
		if errors.Is(err, ErrNoSpace) {
			return s.reopen() // it is tried again next time
		}
		return err
	}
	return s.reopen()
}

// reopen opens the files that compact has closed.
func (s *Store) reopen() error {
	s.log = &badgerLog{}
	found, err := s.openFiles(true)
	if err == nil {
		s.committer = newCommitter(s, found)
	}
	return err
}
