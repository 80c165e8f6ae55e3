package dataset

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"retort/internal/files"
)

// pendingFile exists while the text of a forgotten example may still be in some
// file of the store.
const pendingFile = "forgetting"

// maxForget is how many examples are forgotten in one commit.
const maxForget = 1000

// Forget removes the examples with the given IDs, and returns how many it
// removed once that is on disk: nothing gives them back from then on. IDs that
// are not there, or no more, are not counted. Their text goes from the store's
// files when Close, or else the next Open, writes them anew, which takes as much
// room again as the store.
//
// What was copied elsewhere (backups, exports, run folders) stays there.
func (s *Store) Forget(ctx context.Context, ids ...string) (n int, err error) {
	if err := s.enter(); err != nil {
		return 0, fmt.Errorf("forget: %w", err)
	}
	defer s.leave()
	for len(ids) > 0 {
		some := ids[:min(len(ids), maxForget)]
		ids = ids[len(some):]
		removed := 0
		err := s.committer.submit(ctx, func(b *batch) (err error) {
			removed, err = s.forget(b, some)
			return err
		})
		if err != nil {
			return n, fmt.Errorf("forget: %w", err)
		}
		n += removed
	}
	return n, nil
}

func (s *Store) forget(b *batch, ids []string) (n int, err error) {
	for _, id := range ids {
		rec, err := find(b.txn, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return n, fmt.Errorf("example %q: %w", id, err)
		}
		ex, err := rec.example()
		if err != nil {
			return n, err
		}
		if n == 0 { // before the first change, so that no crash comes between
			if err := s.setPending(); err != nil {
				return n, err
			}
		}
		if err := b.remove(rec, ex, forgotten); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// remove puts a gone in the place of an example.
func (b *batch) remove(rec stored, ex Example, why goneWhy) error {
	digest, err := hex.DecodeString(ex.ID[len(idPrefix):])
	if err != nil {
		return fmt.Errorf("example %d: %w: its ID is %q", rec.position, ErrDamaged, ex.ID)
	}
	if err := b.txn.Delete(indexKey(digest)); err != nil {
		return err
	}
	b.moved(digest, 0)
	b.state.Gone++
	b.removed = append(b.removed, ex)
	return b.supersede(rec, gone{why}.encode())
}

func (s *Store) setPending() error {
	s.forgot.Store(true)
	return files.Write(filepath.Join(s.dir, pendingFile), nil)
}

// isPending reports whether forgotten text may still be in the files in dir.
func isPending(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, pendingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func removePending(dir string) error {
	if err := os.Remove(filepath.Join(dir, pendingFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return files.SyncDir(dir)
}
