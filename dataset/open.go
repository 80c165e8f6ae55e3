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

	"retort/dataset/journal"
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

var (
	// errCutOff: a store that was not closed is damaged.
	errCutOff = errors.New("it was not closed")

	// errJournalCut: Badger has what the journal lacks.
	errJournalCut = fmt.Errorf("%w: the journal is not whole", ErrDamaged)
)

// rescue opens a store that was not closed and whose Badger is damaged, as a power
// cut may leave it, once it is written anew from the journal. Where that is not
// whole either, the damage is for Check to report.
func rescue(dir string, opts Options, why error) (*Store, error) {
	c := &checker{Store: newStore(dir, opts), opts: CheckOptions{Stage: func(string) {}}, ctx: context.Background()}
	defer c.abandon()
	if err := c.claim(); err != nil {
		return nil, err
	}
	if err := c.checkJournal(); err != nil {
		return nil, err
	}
	if !c.journalWhole || c.last == 0 {
		return nil, why
	}
	if err := c.room(); err != nil {
		return nil, err
	}
	if err := rebuild(c.ctx, dir, c.last, c.newest(journal.Read)); err != nil {
		return nil, err
	}
	if err := adopt(dir); err != nil {
		return nil, err
	}
	c.abandon()
	s := newStore(dir, opts)
	if err := s.open(); err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

func newStore(dir string, opts Options) *Store {
	s := &Store{dir: dir, policy: opts.Policy, free: opts.free, log: &badgerLog{}}
	if s.free == nil {
		s.free = freeSpace
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
	if s.lock, err = lock(filepath.Join(s.dir, lockFile)); err != nil {
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
		for _, name := range []string{badgerDir, journalDir} {
			err := syncFiles(filepath.Join(s.dir, name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return breakSeal(s.dir)
}

func badgerOptions(dir string, log badger.Logger) badger.Options {
	opts := badger.DefaultOptions(dir).
		WithLogger(log).
		WithMetricsEnabled(false).
		WithSyncWrites(false).      // the journal is synced, and makes good what a power cut takes
		WithDetectConflicts(false). // one goroutine writes
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMemTableSize(16 << 20).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithBlockCacheSize(16 << 20).
		WithValueThreshold(1 << 20).   // above MaxExampleSize: values stay in the tables
		WithValueLogFileSize(1 << 20). // hence not used; the least that Badger allows
		WithBaseTableSize(4 << 20)
	// Tables of one size on all levels: those of the lowest one would have 64 times as
	// much, and several of them are built in memory at the same time.
	opts.TableSizeMultiplier = 1
	return opts
}

// openBadger opens Badger; known says that it could be opened before.
func (s *Store) openBadger(known bool) error {
	return s.openBadgerWith(badgerOptions(filepath.Join(s.dir, badgerDir), s.log), known)
}

func (s *Store) openBadgerWith(opts badger.Options, known bool) error {
	errs := s.log.mark()
	err := guard(func() error {
		db, err := badger.Open(opts)
		if err == nil { // else db may be one that was never finished
			s.db = db
		}
		return err
	})
	if err == nil {
		err = s.log.since(errs)
	}
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "directory lock"), strings.Contains(err.Error(), "lock file"):
		return fmt.Errorf("%w: %w", ErrBusy, err) // Badger has no sentinel of its own
	case known:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
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

// Close waits for the calls in progress and closes the store. Where the disk is
// too full for that, Badger's files stay as they are, and the error wraps
// ErrNoSpace: nothing is lost, but this process cannot open the store again.
// Where examples were forgotten, Close writes the files anew.
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
	err := s.close()
	s.release()
	if err != nil {
		return fmt.Errorf("close store %q: %w", s.dir, err)
	}
	return nil
}

func (s *Store) close() error {
	if s.readOnly != nil {
		return guard(s.db.Close)
	}
	if err := s.checkSpace(diskUse.toClose); err != nil {
		if err = s.useReserve(diskUse.toClose, err); err != nil {
			return err
		}
	}
	if s.committer.broken == nil {
		_ = s.sums.save(s.dir, s.committer.state) // without it the next Stats takes longer, nothing worse
		pending, err := isPending(s.dir)
		if err != nil {
			return err
		}
		if pending {
			return s.closeCompacted()
		}
	}
	return s.closeBadger()
}

// closeCompacted writes the store anew and closes it. Where there is no room, it
// is closed as it is, which is an error only for those who have just forgotten
// something: it is tried again each time.
func (s *Store) closeCompacted() error {
	if err := s.room(); errors.Is(err, ErrNoSpace) {
		if !s.forgot.Load() {
			err = nil
		}
		return errors.Join(err, s.closeBadger())
	}
	if err := s.compact(context.Background()); err != nil {
		return err
	}
	_ = s.writeSeal() // as in closeBadger
	return nil
}

func (s *Store) closeBadger() error {
	errs := s.log.mark()
	err := guard(s.db.Close)
	if err == nil {
		err = s.log.since(errs)
	}
	if err == nil && s.committer.broken == nil {
		// Without a seal the next Open takes longer, nothing worse.
		_ = s.writeSeal()
	}
	return err
}

// abandon lets go of everything after an error.
func (s *Store) abandon() {
	if s.committer != nil {
		s.committer.stop()
	}
	if s.db != nil && !s.db.IsClosed() {
		_ = guard(s.db.Close) // there is an error to report already
	}
	s.release()
}

// release lets go of what is held beside Badger.
func (s *Store) release() {
	if s.journal != nil {
		s.journal.Close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
}
