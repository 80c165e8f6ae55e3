package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"retort/internal/files"
)

// stage is a folder under a temporary name in which a model is put together.
// It is locked while its process lives; an unlocked one is a leftover.
type stage struct {
	r    *Registry
	dir  string
	lock *os.File // nil once committed or dropped
}

// step is called before each change of the disk.
func (r *Registry) step(name string) error {
	if r.fault == nil {
		return nil
	}
	return r.fault(name)
}

// locked runs f while no other process or goroutine changes the registry.
func (r *Registry) locked(f func() error) error {
	lock, err := files.Lock(filepath.Join(r.dir, lockFile))
	if err != nil {
		return fmt.Errorf("lock models: %w", err)
	}
	defer lock.Close() // and with that unlocks
	return f()
}

// newStage makes an empty stage. It holds the registry's lock meanwhile, so
// that clean never sees a stage that is not locked yet.
func (r *Registry) newStage() (*stage, error) {
	s := &stage{r: r}
	err := r.locked(func() (err error) {
		if err := r.step("make stage"); err != nil {
			return err
		}
		if s.dir, err = os.MkdirTemp(r.dir, tempPrefix); err != nil {
			return err
		}
		s.lock, err = files.Lock(filepath.Join(s.dir, lockFile))
		return err
	})
	if err != nil {
		s.drop()
		return nil, err
	}
	return s, nil
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// drop removes the stage, unless it was committed.
func (s *stage) drop() {
	if s.lock != nil {
		s.lock.Close()
		s.lock = nil
	}
	if s.dir != "" {
		os.RemoveAll(s.dir) // what stays is removed by the next Open
	}
}

// commit writes m and gives the stage its final name. If a model of that name
// has come up meanwhile it is returned when it is the same one.
func (s *stage) commit(m Manifest) (Manifest, error) {
	err := s.r.locked(func() error {
		old, found, err := s.r.same(m.ID, m.Digest)
		if err != nil || found {
			m = old
			return err
		}
		if err := s.r.inherit(&m); err != nil {
			return err
		}
		return s.publish(m)
	})
	if err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// inherit gives m the mark that its parent has by now, and refuses an adapter whose
// base has gone while it was put together. The registry is locked.
func (r *Registry) inherit(m *Manifest) error {
	switch m.Kind {
	case KindAdapter:
		base, err := r.baseOf(*m)
		if err != nil {
			return err
		}
		m.Stale = base.Stale
	case KindMerged: // which can do without its adapter
		if adapter, err := r.Get(m.Parent); err == nil && adapter.Digest == m.ParentDigest {
			m.Stale = adapter.Stale
		}
	}
	return nil
}

// publish does what makes the model be there; the registry is locked.
func (s *stage) publish(m Manifest) error {
	if err := s.r.writeJSON(s.path(manifestFile), m); err != nil {
		return err
	}
	s.lock.Close() // before the renaming, for Windows
	s.lock = nil
	if err := os.Remove(s.path(lockFile)); err != nil {
		return err
	}
	if err := s.r.step("sync stage"); err != nil {
		return err
	}
	if err := files.SyncDir(s.dir); err != nil {
		return err
	}
	if err := s.r.step("rename stage"); err != nil {
		return err
	}
	if err := os.Rename(s.dir, s.r.Dir(m.ID)); err != nil {
		return err
	}
	s.dir = ""
	if err := s.r.step("sync models"); err != nil {
		return err
	}
	return files.SyncDir(s.r.dir)
}

// same looks for a model of that ID. It reports true when there is one with
// that digest, and an error that wraps ErrExists when it has another.
func (r *Registry) same(id, digest string) (Manifest, bool, error) {
	m, err := r.Get(id)
	switch {
	case err == nil && m.Digest == digest:
		return m, true, nil
	case err == nil:
		return Manifest{}, false, fmt.Errorf("model %q: %w", id, ErrExists)
	case !errors.Is(err, ErrNotFound):
		return Manifest{}, false, err
	}
	if _, err := os.Lstat(r.Dir(id)); err == nil {
		return Manifest{}, false, fmt.Errorf("model %q: %w: a folder without %s", id, ErrExists, manifestFile)
	}
	return Manifest{}, false, nil
}

// clean removes the stages that no process works on. When another process is
// changing the registry it waits.
func (r *Registry) clean() error {
	return r.locked(func() error {
		entries, err := os.ReadDir(r.dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), tempPrefix) {
				r.cleanOne(filepath.Join(r.dir, e.Name()))
			}
		}
		return nil
	})
}

// cleanOne removes one stage or temporary file if it is a leftover. What cannot
// be removed stays for the next time; it harms nobody.
func (r *Registry) cleanOne(path string) {
	lock, err := files.TryLock(filepath.Join(path, lockFile))
	if failed := (*os.PathError)(nil); errors.As(err, &failed) && failed.Op == "lock" {
		return // somebody works on it, or it cannot be told
	}
	if err == nil {
		lock.Close() // before the removal, for Windows
	}
	os.RemoveAll(path)
}

// discard removes the folder dir so that it is gone at once or not at all.
func (r *Registry) discard(dir string) error {
	if err := r.step("rename away"); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(r.dir, tempPrefix)
	if err != nil {
		return err
	}
	if err := os.Rename(dir, filepath.Join(temp, filepath.Base(dir))); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := r.step("delete"); err != nil {
		return err
	}
	return errors.Join(files.SyncDir(r.dir), os.RemoveAll(temp))
}

// writeJSON replaces the file at path in one step. The registry is locked.
func (r *Registry) writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := r.step("write " + filepath.Base(path)); err != nil {
		return err
	}
	// Beside the stages, where clean looks for leftovers.
	temp, err := os.CreateTemp(r.dir, tempPrefix)
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails once it is renamed
	_, err = temp.Write(append(data, '\n'))
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err := r.step("rename " + filepath.Base(path)); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	if err := r.step("sync " + filepath.Base(path)); err != nil {
		return err
	}
	return files.SyncDir(filepath.Dir(path))
}
