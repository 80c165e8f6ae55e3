package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

const (
	badgerDir = "badger"
	lockFile  = "lock"
)

// Open opens the store in dir, and makes one where there is none. The error
// wraps ErrBusy, ErrNoSpace or ErrDamaged where that is the cause. Where the
// last process did not Close, Open reads the whole store.
func Open(dir string, opts Options) (*Store, error) {
	s := &Store{dir: dir, policy: opts.Policy, salvage: opts.Salvage, free: opts.free, log: &badgerLog{}}
	if s.free == nil {
		s.free = freeSpace
	}
	if err := s.open(); err != nil {
		if s.db != nil {
			_ = guard(s.db.Close) // there is an error to report already
		}
		s.release()
		if errors.Is(err, syscall.ENOSPC) {
			err = fmt.Errorf("%w: %w", ErrNoSpace, err)
		}
		return nil, fmt.Errorf("open store %q: %w", dir, err)
	}
	return s, nil
}

// open looks before it leaps: Badger repairs by deleting, so it may not see the
// files before they are known to be whole and to have room.
func (s *Store) open() (err error) {
	if err := os.MkdirAll(filepath.Join(s.dir, badgerDir), 0o700); err != nil {
		return err
	}
	if s.lock, err = lock(filepath.Join(s.dir, lockFile)); err != nil {
		return err
	}
	if err := s.checkSpace(diskUse.toWork); err != nil {
		return err
	}
	sealed, err := checkSeal(s.dir)
	if err := s.tolerate(err); err != nil {
		return err
	}
	if err := s.openMark(); err != nil {
		return err
	}
	if err := s.prepareFiles(sealed); err != nil {
		return err
	}
	if err := s.openBadger(); err != nil {
		return err
	}
	found, err := s.compare()
	if err := s.tolerate(err); err != nil {
		return err
	}
	if !sealed && !s.salvage {
		if err := s.verifyAll(); err != nil {
			return err
		}
	}
	s.committer = newCommitter(s, found)
	return nil
}

// tolerate sets damage aside when salvaging. Any other err it returns.
func (s *Store) tolerate(err error) error {
	if s.salvage && errors.Is(err, ErrDamaged) {
		s.damage = append(s.damage, err)
		return nil
	}
	return err
}

// openMark learns what state was last acknowledged.
func (s *Store) openMark() error {
	_, err := os.Stat(filepath.Join(s.dir, badgerDir, badger.ManifestFilename))
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return err
	}
	s.mark, s.acknowledged, err = openMark(s.dir, fresh)
	if err := s.tolerate(err); err != nil {
		return err
	}
	if fresh && s.acknowledged.Changes > 0 {
		// Badger would start anew and delete the tables that are left.
		return fmt.Errorf("file %q: %w: it is missing", badgerDir+"/"+badger.ManifestFilename, ErrDamaged)
	}
	return nil
}

// prepareFiles makes the files fit to be worked on. What a killed process wrote
// may be in the kernel's memory alone: it must be on disk before it is counted
// as stored.
func (s *Store) prepareFiles(sealed bool) error {
	if sealed {
		return breakSeal(s.dir)
	}
	names, err := sealedFiles(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := syncFile(filepath.Join(s.dir, filepath.FromSlash(name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // the mark, when salvaging
			return err
		}
	}
	return breakSeal(s.dir)
}

func (s *Store) openBadger() error {
	opts := badger.DefaultOptions(filepath.Join(s.dir, badgerDir)).
		WithLogger(s.log).
		WithMetricsEnabled(false).
		WithSyncWrites(true).       // Badger's default loses what was acknowledged
		WithDetectConflicts(false). // one goroutine writes
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMemTableSize(16 << 20).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithBlockCacheSize(16 << 20).
		WithValueThreshold(1 << 20).  // above MaxExampleSize: values stay in the tables
		WithValueLogFileSize(1 << 20) // hence not used; the least that Badger allows
	err := guard(func() error {
		db, err := badger.Open(opts)
		if err == nil { // else db may be one that was never finished
			s.db = db
		}
		return err
	})
	if err == nil {
		err = s.log.since(0)
	}
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "directory lock"), strings.Contains(err.Error(), "lock file"):
		return fmt.Errorf("%w: %w", ErrBusy, err) // Badger has no sentinel of its own
	case s.acknowledged.Changes > 0: // it could be opened before
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// compare returns the state that Badger has. It is an error if more than that
// was acknowledged.
func (s *Store) compare() (state, error) {
	var found state
	err := s.view(context.Background(), func(txn *badger.Txn) (err error) {
		found, err = readState(txn)
		return err
	})
	if want := s.acknowledged; err == nil && found.Changes < want.Changes {
		err = fmt.Errorf("%w: %d of %d examples and %d of %d changes are there", ErrDamaged,
			found.Examples, want.Examples, found.Changes, want.Changes)
	}
	return found, err
}

func (s *Store) verifyAll() error {
	report, err := s.verify(context.Background(), false)
	if err != nil {
		return err
	}
	return report.Err()
}

// Close waits for the calls in progress and closes the store. Where the disk is
// too full for that, Badger's files stay as they are, and the error wraps
// ErrNoSpace: nothing is lost, but this process cannot open the store again.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.calls.Wait()
	s.committer.stop()
	err := s.checkSpace(diskUse.toClose)
	if err == nil {
		err = s.closeBadger()
	}
	s.release()
	if err != nil {
		return fmt.Errorf("close store %q: %w", s.dir, err)
	}
	return nil
}

func (s *Store) closeBadger() error {
	err := guard(s.db.Close)
	if err == nil {
		err = s.log.since(0)
	}
	if err == nil && !s.salvage && s.committer.broken == nil {
		// Without a seal the next Open takes longer, nothing worse.
		_ = writeSeal(s.dir)
	}
	return err
}

// release lets go of what is held beside Badger.
func (s *Store) release() {
	if s.mark != nil {
		s.mark.close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
}
