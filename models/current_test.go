package models

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func current(t *testing.T, r *Registry) string {
	t.Helper()
	m, err := r.Current()
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	return m.ID
}

func use(t *testing.T, r *Registry, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := r.Use(id); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUse_andRollback(t *testing.T) {
	r := open(t, t.TempDir())
	for i, id := range []string{"a", "b", "c"} {
		addBase(t, r, id, uint64(i))
	}
	if _, err := r.Current(); !errors.Is(err, ErrNotFound) {
		t.Errorf("Current of none: %v", err)
	}
	if _, err := r.Rollback(); !errors.Is(err, ErrNoPrevious) {
		t.Errorf("Rollback of none: %v", err)
	}
	if err := r.Use("none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Use of a missing model: %v", err)
	}
	use(t, r, "a", "b", "b", "c")
	r = open(t, r.dir)
	for _, want := range []string{"b", "a"} {
		m, err := r.Rollback()
		if m.ID != want || err != nil || current(t, r) != want {
			t.Errorf("Rollback = %q, %v, current %q, want %q", m.ID, err, current(t, r), want)
		}
	}
	if _, err := r.Rollback(); !errors.Is(err, ErrNoPrevious) || current(t, r) != "a" {
		t.Errorf("Rollback at the start: %v, current %q", err, current(t, r))
	}
}

func TestUse_historyIsBounded(t *testing.T) {
	r := open(t, t.TempDir())
	addBase(t, r, "a", 1)
	addBase(t, r, "b", 2)
	for range maxHistory {
		use(t, r, "a", "b")
	}
	h, err := r.readHistory()
	if err != nil || len(h.IDs) != maxHistory || h.current() != "b" {
		t.Errorf("%d in history, current %q, %v", len(h.IDs), h.current(), err)
	}
}

func TestUse_concurrently(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	const n = 20
	results := make(chan error)
	for i := range n {
		addBase(t, r, fmt.Sprintf("m%d", i), uint64(i))
	}
	for i := range n {
		go func() {
			other, err := Open(dir)
			if err == nil {
				err = other.Use(fmt.Sprintf("m%d", i))
			}
			results <- err
		}()
	}
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	h, err := r.readHistory()
	if err != nil || len(h.IDs) != n {
		t.Errorf("history %q, %v: a choice was lost", h.IDs, err)
	}
}

func TestRemove(t *testing.T) {
	r := open(t, t.TempDir())
	addBase(t, r, "a", 1)
	addBase(t, r, "b", 2)
	addAdapter(t, r, "a-tuned", "a", 3)
	use(t, r, "b", "a-tuned", "b", "a")
	for id, want := range map[string]error{"a": ErrInUse, "none": ErrNotFound} {
		if err := r.Remove(id); !errors.Is(err, want) {
			t.Errorf("Remove(%q) = %v", id, err)
		}
	}
	use(t, r, "b")
	if err := r.Remove("a"); !errors.Is(err, ErrInUse) {
		t.Errorf("Remove of a parent: %v", err)
	}
	if err := r.Remove("a-tuned"); err != nil {
		t.Fatal(err)
	}
	if err := r.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b"}, ids(t, r)); diff != "" {
		t.Error(diff)
	}
	if got := leftovers(t, r.dir); got != nil {
		t.Errorf("left: %q", got)
	}
	// Only b is left of the history, so there is nothing to go back to.
	if _, err := r.Rollback(); !errors.Is(err, ErrNoPrevious) || current(t, r) != "b" {
		t.Errorf("Rollback: %v, current %q", err, current(t, r))
	}
}

func TestCurrent_damaged(t *testing.T) {
	r := open(t, t.TempDir())
	addBase(t, r, "a", 1)
	use(t, r, "a")
	if err := os.WriteFile(filepath.Join(r.dir, currentFile), []byte(`{"history":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Current(); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("Current: %v", err)
	}
	if err := r.Use("a"); err == nil {
		t.Error("Use overwrote a damaged history")
	}
	if err := os.WriteFile(filepath.Join(r.dir, currentFile), []byte(`{"history":["../../etc"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Current(); !errors.Is(err, ErrInvalidID) {
		t.Errorf("Current of a path: %v", err)
	}
}
