package dataset_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/dataset/journal"
)

func backup(t *testing.T, s *dataset.Store, path string) dataset.BackupReport {
	t.Helper()
	report, err := s.Backup(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// restored is what a backup gives, in a new store.
func restored(t *testing.T, path string) []dataset.Example {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	n, err := dataset.Restore(t.Context(), dir, path)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if report, err := s.Verify(t.Context()); err != nil || report.Err() != nil || report.Examples != n {
		t.Errorf("Verify: %+v, %v; want %d", report, err, n)
	}
	return list(t, s, dataset.Filter{})
}

func TestStore_Backup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "retort.backup")
	s := open(t, t.TempDir())
	fill(t, s, 20)
	if report := backup(t, s, path); report.Records != 20 || !report.Whole {
		t.Errorf("first: %+v", report)
	}
	if report := backup(t, s, path); report.Records != 0 || report.Whole {
		t.Errorf("nothing new: %+v", report)
	}
	put(t, s, newExample(20))
	if _, err := s.Rate(t.Context(), dataset.Identify(newExample(3)).ID, 5); err != nil {
		t.Fatal(err)
	}
	if err := s.PutQueries(t.Context(), dataset.Query{Kind: "ensemble"}); err != nil {
		t.Fatal(err)
	}
	if report := backup(t, s, path); report.Records != 3 || report.Whole {
		t.Errorf("three changes: %+v", report)
	}
	if diff := cmp.Diff(list(t, s, dataset.Filter{}), restored(t, path)); diff != "" {
		t.Errorf("restored otherwise (-store +backup):\n%s", diff)
	}

	secret := put(t, s, secretExample())
	backup(t, s, path)
	if _, err := s.Forget(t.Context(), secret.ID); err != nil {
		t.Fatal(err)
	}
	if report := backup(t, s, path); !report.Whole {
		t.Errorf("after forgetting: %+v, want it written anew", report)
	}
	if found := rawFilesWith(t, filepath.Dir(path), secretText); len(found) > 0 {
		t.Errorf("the forgotten text is still in %q", found)
	}
	if diff := cmp.Diff(list(t, s, dataset.Filter{}), restored(t, path)); diff != "" {
		t.Errorf("restored otherwise (-store +backup):\n%s", diff)
	}
	n := 0
	for ex, err := range dataset.ReadBackup(t.Context(), path) {
		if n++; err != nil || dataset.Identify(ex).ID != ex.ID {
			t.Errorf("%q, %v", ex.ID, err)
		}
	}
	if n != 21 {
		t.Errorf("%d examples in the backup, want 21", n)
	}
}

func TestBackup_refuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "one.backup")
	one, other := open(t, t.TempDir()), open(t, t.TempDir())
	fill(t, one, 5)
	fill(t, other, 5)
	backup(t, one, path)
	if _, err := other.Backup(t.Context(), path); err == nil {
		t.Error("another store's backup was added to")
	}
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte("my notes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Backup(t.Context(), text); err == nil {
		t.Error("a file that is no backup was written over")
	}
	filled := t.TempDir()
	s := open(t, filled)
	fill(t, s, 1)
	shut(t, s)
	if _, err := dataset.Restore(t.Context(), filled, path); !errors.Is(err, dataset.ErrNotEmpty) {
		t.Errorf("Restore over examples: %v, want ErrNotEmpty", err)
	}
}

// A backup that is cut anywhere gives everything up to an earlier time, or an
// error; one with a flipped byte gives an error, or is as if it was cut there.
func TestRestore_ofADamagedBackup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "whole.backup")
	s := open(t, t.TempDir())
	sizes := map[int]int64{}
	for n := range 3 {
		put(t, s, newExample(n))
		sizes[n+1] = backup(t, s, path).Bytes
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged.backup")
	count := func(raw []byte) (n int, err error) {
		if err := os.WriteFile(damaged, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, err := range dataset.ReadBackup(t.Context(), damaged) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	for end := 0; end < len(raw); end += 7 {
		want := 0
		for n, size := range sizes {
			if int64(end) >= size {
				want = max(want, n)
			}
		}
		if n, err := count(raw[:end]); n != want || (err == nil) != (want > 0) {
			t.Errorf("cut at %d: %d examples, %v; want %d", end, n, err, want)
		}
	}
	for i := 0; i < len(raw); i += 5 {
		flipped := append([]byte(nil), raw...)
		flipped[i] ^= 0x10
		n, err := count(flipped)
		if err == nil && (n == 3 || int64(i) < sizes[n]) {
			t.Errorf("byte %d flipped: %d examples and no error", i, n)
		}
	}
}

// Two backups at a time would add to one file at the same place.
func TestStore_Backup_severalAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "retort.backup")
	s := open(t, t.TempDir())
	fill(t, s, 20)
	backup(t, s, path)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 4 {
				if _, err := s.Put(t.Context(), newExample(100+10*g+i)); err != nil {
					t.Error(err)
				}
				if _, err := s.Rate(t.Context(), dataset.Identify(newExample(4*g+i)).ID, 3); err != nil {
					t.Error(err)
				}
				if _, err := s.Backup(t.Context(), path); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff(list(t, s, dataset.Filter{}), restored(t, path)); diff != "" {
		t.Errorf("restored otherwise (-store +backup):\n%s", diff)
	}
}

// What lacks an example is no backup of a store, and leaves none that is damaged.
func TestRestore_refusesGaps(t *testing.T) {
	for _, position := range []uint64{2, 1 << 40, 1<<64 - 1} {
		path := filepath.Join(t.TempDir(), "retort.backup")
		data, err := json.Marshal(dataset.Identify(newExample(1)))
		if err != nil {
			t.Fatal(err)
		}
		entries := func(yield func(journal.Entry, error) bool) {
			yield(journal.Entry{Change: 1, Position: position, Data: data}, nil)
		}
		if err := journal.WriteFile(path, strings.Repeat("0", 32), 0, 1, entries); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "store")
		if _, err := dataset.Restore(t.Context(), dir, path); !errors.Is(err, dataset.ErrDamaged) {
			t.Errorf("position %d alone: %v, want ErrDamaged", position, err)
		}
		shut(t, open(t, dir))
	}
}

// What is numbered as no store does it would be damage, or lost, later on.
func TestRestore_refusesWrongNumbers(t *testing.T) {
	data, err := json.Marshal(dataset.Identify(newExample(1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ change, last uint64 }{{5, 1}, {0, 1}, {1, 1<<64 - 1}} {
		path := filepath.Join(t.TempDir(), "retort.backup")
		entries := func(yield func(journal.Entry, error) bool) {
			yield(journal.Entry{Change: tc.change, Position: 1, Data: data}, nil)
		}
		if err := journal.WriteFile(path, strings.Repeat("0", 32), 0, tc.last, entries); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "store")
		if _, err := dataset.Restore(t.Context(), dir, path); !errors.Is(err, dataset.ErrDamaged) {
			t.Errorf("change %d of %d: %v, want ErrDamaged", tc.change, tc.last, err)
		}
	}
}

// asked is a context that does something when it is first asked for its error.
type asked struct {
	context.Context
	do func()
}

func (a asked) Err() error {
	a.do()
	return a.Context.Err()
}

// What the store has changed is in another place of a backup that it writes anew.
func TestReadBackup_changedMeanwhile(t *testing.T) {
	path, next := filepath.Join(t.TempDir(), "retort.backup"), filepath.Join(t.TempDir(), "next")
	data, err := json.Marshal(dataset.Identify(newExample(1)))
	if err != nil {
		t.Fatal(err)
	}
	for path, change := range map[string]uint64{path: 1, next: 2} {
		entries := func(yield func(journal.Entry, error) bool) {
			yield(journal.Entry{Change: change, Position: 1, Data: data}, nil)
		}
		if err := journal.WriteFile(path, strings.Repeat("0", 32), 0, change, entries); err != nil {
			t.Fatal(err)
		}
	}
	change := sync.OnceFunc(func() {
		raw, err := os.ReadFile(next)
		if err == nil {
			err = os.WriteFile(path, raw, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	})
	n, last := 0, error(nil)
	for _, last = range dataset.ReadBackup(asked{t.Context(), change}, path) {
		n++
	}
	if n != 1 || last == nil || !strings.Contains(last.Error(), "meanwhile") {
		t.Errorf("%d examples and errors, the last one %v; want that it was written to", n, last)
	}
}
