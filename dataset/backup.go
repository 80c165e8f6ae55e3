package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"retort/dataset/journal"
)

// BackupReport says what Backup wrote.
type BackupReport struct {
	Records int    `json:"records"` // examples and queries that were added to the file, or newer versions of them
	Whole   bool   `json:"whole"`   // the file was written anew, not added to
	Bytes   int64  `json:"bytes"`   // size of the file
	Change  uint64 `json:"change"`  // number of the last change that it has
}

// Backup brings the file at path up to date with the store, and makes it where
// there is none. What changed since the last time is added at its end; where
// examples were forgotten since, the file is written anew, so that it does not
// keep them. It is on disk, whole or as it was before, when Backup returns. Others
// may go on writing to the store.
//
// A file that has another store's records is refused.
func (s *Store) Backup(ctx context.Context, path string) (BackupReport, error) {
	report, err := s.backup(ctx, path)
	if err != nil {
		return BackupReport{}, fmt.Errorf("back up to %q: %w", path, err)
	}
	return report, nil
}

func (s *Store) backup(ctx context.Context, path string) (BackupReport, error) {
	if err := s.enter(); err != nil {
		return BackupReport{}, err
	}
	defer s.leave()
	s.backups.Lock()
	defer s.backups.Unlock()
	f, err := readFormat(s.dir)
	if err != nil {
		return BackupReport{}, err
	}
	sn, err := s.snapshot()
	if err != nil {
		return BackupReport{}, err
	}
	defer sn.close()
	since, err := s.backedUp(path, f.ID, sn.state.Changes)
	if err != nil {
		return BackupReport{}, err
	}
	report := BackupReport{Change: sn.state.Changes}
	if since > 0 {
		forgot, err := sn.forgotSince(ctx, since)
		if err != nil {
			return report, err
		}
		if forgot {
			since = 0
		}
	}
	report.Whole = since == 0
	counted := func(yield func(journal.Entry, error) bool) {
		for e, err := range sn.journalEntries(ctx, since) {
			report.Records++
			if !yield(e, err) {
				return
			}
		}
	}
	if since == 0 || since < sn.state.Changes {
		if err := journal.WriteFile(path, f.ID, since, sn.state.Changes, counted); err != nil {
			return report, asDamage(err)
		}
	}
	info, err := os.Stat(path)
	if err == nil {
		report.Bytes = info.Size()
	}
	return report, err
}

// backedUp returns the last change that the backup at path has: 0 if there is no
// such file.
func (s *Store) backedUp(path, id string, last uint64) (uint64, error) {
	tail, err := journal.ReadFileTail(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, asDamage(err)
	case tail.Store != id:
		return 0, errors.New("it is the backup of another store")
	case tail.Last > last:
		return 0, fmt.Errorf("it goes up to change %d, the store to %d", tail.Last, last)
	}
	return tail.Last, nil
}

// forgotSince reports whether examples were forgotten after a change.
func (sn *snapshot) forgotSince(ctx context.Context, change uint64) (bool, error) {
	for rec, err := range sn.positions(ctx) {
		if err != nil || rec.change > change && rec.isGone() {
			return err == nil, err
		}
	}
	return false, nil
}

// Restore makes a store of a backup, in dir, where there must be none or an empty
// one. It returns how many examples it has: all of them, as they were, or an
// error. A backup whose last addition was cut short is restored without that.
func Restore(ctx context.Context, dir, path string) (examples uint64, err error) {
	examples, err = restore(ctx, dir, path)
	if err != nil {
		return 0, fmt.Errorf("restore %q: %w", path, err)
	}
	return examples, nil
}

func restore(ctx context.Context, dir, path string) (uint64, error) {
	tail, err := journal.ReadFileTail(path)
	if err != nil {
		return 0, asDamage(err)
	}
	newest, err := newestIn(ctx, path)
	if err != nil {
		return 0, err
	}
	s, err := Open(dir, Options{})
	if err != nil {
		return 0, err
	}
	st, err := s.foundState()
	if err := errors.Join(err, s.Close()); err != nil {
		return 0, err
	}
	if st.Changes > 0 {
		return 0, fmt.Errorf("the store in %q: %w", dir, ErrNotEmpty)
	}
	if err := replaceByBackup(ctx, dir, path, tail, newest); err != nil {
		return 0, err
	}
	if s, err = Open(dir, Options{}); err != nil {
		return 0, err
	}
	st, err = s.foundState()
	return st.examples(), errors.Join(err, s.Close())
}

// replaceByBackup puts what the backup has in the place of the empty store in dir.
func replaceByBackup(ctx context.Context, dir, path string, tail journal.FileTail, newest map[uint64]uint64) error {
	s := newStore(dir, Options{})
	defer s.release()
	if err := s.claim(); err != nil {
		return err
	}
	if err := checkEmpty(dir); err != nil { // it was free for a moment
		return err
	}
	entries := func(yield func(journal.Entry, error) bool) {
		for e, err := range journal.ReadFile(ctx, path) {
			if err == nil && e.Position != 0 && newest[e.Position] != e.Change {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
		// What newest and entries are of must be what tail is of.
		now, err := journal.ReadFileTail(path)
		if err == nil && now != tail {
			err = errors.New("the backup was written to meanwhile")
		}
		if err != nil {
			yield(journal.Entry{}, err)
		}
	}
	if err := rebuildAs(ctx, dir, tail.Store, tail.Last, entries); err != nil {
		return err
	}
	return adopt(dir)
}

// checkEmpty refuses a closed store in which something was ever stored.
func checkEmpty(dir string) error {
	j, err := journal.Open(filepath.Join(dir, journalDir))
	if err != nil {
		return asDamage(err)
	}
	if j.Last() > 0 {
		err = fmt.Errorf("the store in %q: %w", dir, ErrNotEmpty)
	}
	return errors.Join(err, j.Close())
}

// newestIn returns the last change of each position in a backup, of which none may
// be left out.
func newestIn(ctx context.Context, path string) (map[uint64]uint64, error) {
	newest := map[uint64]uint64{}
	for e, err := range journal.ReadFile(ctx, path) {
		if err != nil {
			return nil, asDamage(err)
		}
		if e.Position != 0 {
			newest[e.Position] = max(newest[e.Position], e.Change)
		}
	}
	for position := range newest {
		if n := len(newest); position > uint64(n) {
			return nil, fmt.Errorf("%w: it has %d examples, and one of them is number %d", ErrDamaged, n, position)
		}
	}
	return newest, nil
}

// ReadBackup yields the examples in a backup, each as it last was, in the order of
// their positions' first appearance. Any error ends the sequence.
func ReadBackup(ctx context.Context, path string) iter.Seq2[Example, error] {
	return func(yield func(Example, error) bool) {
		newest, err := newestIn(ctx, path)
		if err != nil {
			yield(Example{}, fmt.Errorf("read backup %q: %w", filepath.Base(path), err))
			return
		}
		for e, err := range journal.ReadFile(ctx, path) {
			if err == nil && (e.Position == 0 || newest[e.Position] != e.Change) {
				continue
			}
			if delete(newest, e.Position); err == nil && isGone(e.Data) {
				continue
			}
			var ex Example
			if err == nil {
				ex, err = stored{e.Position, e.Change, e.Data}.example()
			}
			if err != nil {
				err = fmt.Errorf("read backup %q: %w", filepath.Base(path), err)
			}
			if !yield(ex, err) || err != nil {
				return
			}
		}
		if len(newest) > 0 {
			yield(Example{}, fmt.Errorf("read backup %q: it was written to meanwhile", filepath.Base(path)))
		}
	}
}
