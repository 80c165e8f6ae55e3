package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"

	"retort/dataset/journal"
	"retort/internal/files"
)

// A store is written anew, whole, in the folder "next" inside it, and takes the
// place of the old one once that has the file "complete".
const (
	nextDir      = "next"
	completeFile = "complete"
)

// rebuild makes a store of entries, the latest version of each record, in the
// folder next of dir, and marks it complete. last is the number of the last
// change that they sum up. The folder has whatever they hold and nothing else.
func rebuild(ctx context.Context, dir string, last uint64, entries iter.Seq2[journal.Entry, error]) error {
	return rebuildAs(ctx, dir, "", last, entries)
}

// rebuildAs is rebuild of the store that has this ID; "" is the one in dir.
func rebuildAs(ctx context.Context, dir, id string, last uint64, entries iter.Seq2[journal.Entry, error]) error {
	next := filepath.Join(dir, nextDir)
	if err := os.RemoveAll(next); err != nil {
		return err
	}
	err := fill(ctx, next, last, entries)
	if err == nil && id != "" {
		err = writeFormat(next, id)
	}
	if err != nil {
		_ = os.RemoveAll(next) // the disk may be full of it; else the next Open does so
		return err
	}
	return files.Write(filepath.Join(next, completeFile), nil)
}

// fill makes the files of a store in the folder next, and sees to it that they are on
// disk.
func fill(ctx context.Context, next string, last uint64, entries iter.Seq2[journal.Entry, error]) error {
	if err := os.MkdirAll(filepath.Join(next, badgerDir), 0o700); err != nil {
		return err
	}
	log := &badgerLog{}
	db, err := badger.Open(badgerOptions(filepath.Join(next, badgerDir), log).WithSyncWrites(false))
	if err != nil {
		return err
	}
	w := &rewriter{batch: db.NewWriteBatch(), state: state{Changes: last}}
	err = journal.Write(filepath.Join(next, journalDir), last, w.through(ctx, entries))
	if err == nil {
		err = w.finish()
	} else {
		w.batch.Cancel()
	}
	err = errors.Join(err, guard(db.Close))
	if err == nil {
		err = log.since(0)
	}
	if err != nil {
		return asDamage(err)
	}
	return syncFiles(filepath.Join(next, badgerDir))
}

// rewriter puts into Badger what passes through it on its way to the journal.
type rewriter struct {
	batch  *badger.WriteBatch
	state  state
	totals queryTotals
	query  uint64 // last change that logged one
}

func (w *rewriter) through(ctx context.Context, entries iter.Seq2[journal.Entry, error]) iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		for e, err := range entries {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				err = guard(func() error { return w.put(e) })
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (w *rewriter) put(e journal.Entry) error {
	if e.Position == 0 {
		w.totals.Count++
		w.totals.Sum += e.Change
		w.query = max(w.query, e.Change)
		return w.set(queryKey(e.Change), e.Change, e.Data)
	}
	w.state.Positions = max(w.state.Positions, e.Position)
	w.state.Sum += e.Change
	if isGone(e.Data) {
		w.state.Gone++
		return w.set(exampleKey(e.Position), e.Change, e.Data)
	}
	ex, err := stored{e.Position, e.Change, e.Data}.example()
	if err != nil {
		return err
	}
	key, raw := indexRecord(identity(ex), e.Position)
	if err := w.batch.Set(key, raw); err != nil {
		return err
	}
	return w.set(exampleKey(e.Position), e.Change, e.Data)
}

func (w *rewriter) set(key []byte, change uint64, payload []byte) error {
	return w.batch.Set(key, encodeRecord(key, change, payload))
}

func (w *rewriter) finish() error {
	err := w.set(stateKey, w.state.Changes, w.state.encode())
	if err == nil && w.totals.Count > 0 {
		err = w.set(totalsKey, w.query, w.totals.encode())
	}
	if err != nil {
		return err
	}
	return w.batch.Flush()
}

// adopt puts a complete next in the place of the old files, and removes one that
// is not complete. It can be cut short and begun again.
func adopt(dir string) error {
	next := filepath.Join(dir, nextDir)
	if _, err := os.Stat(filepath.Join(next, completeFile)); errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(next)
	} else if err != nil {
		return err
	}
	if err := breakSeal(dir); err != nil {
		return err
	}
	for _, name := range []string{badgerDir, journalDir, formatFile} {
		if err := moveOver(filepath.Join(next, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := files.SyncDir(dir); err != nil {
		return err
	}
	return os.RemoveAll(next)
}

// moveOver replaces the folder or file to by from, if that is there, still or at all.
func moveOver(from, to string) error {
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// compact writes the store anew, without the text of forgotten examples and
// superseded versions. Badger and the journal are open; afterwards they are closed.
func (s *Store) compact(ctx context.Context) error {
	sn, err := s.snapshot()
	if err != nil {
		return err
	}
	err = s.room()
	if err == nil {
		err = rebuild(ctx, s.dir, sn.state.Changes, sn.journalEntries(ctx, 0))
	}
	sn.close()
	if err := errors.Join(err, guard(s.db.Close), s.journal.Close()); err != nil {
		return fmt.Errorf("write the store anew: %w", err)
	}
	s.seal = nil // it knew the old files
	if err := adopt(s.dir); err != nil {
		return err
	}
	return removePending(s.dir)
}
