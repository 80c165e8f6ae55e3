package dataset_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"retort/dataset"
)

// closedStore makes a store of n examples and closes it.
func closedStore(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, n)
	shut(t, s)
	if err := os.Remove(filepath.Join(dir, "reserve")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err) // it is large, and these tests make copies
	}
	return dir
}

// files lists the store's files other than the lock.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != "lock" {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func flip(t *testing.T, path string, offset int64) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[offset] ^= 0x10
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// readBack reads the store by all means and complains about anything that is
// neither what was written nor an error that names damage. It reports whether
// all n examples are there.
func readBack(t *testing.T, dir string, n int) bool {
	t.Helper()
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		if !errors.Is(err, dataset.ErrDamaged) {
			t.Errorf("Open: %v, want ErrDamaged", err)
		}
		return false
	}
	defer s.Close()
	intact, damage := 0, 0
	for ex, err := range s.All(t.Context(), dataset.Filter{}) {
		switch {
		case errors.Is(err, dataset.ErrDamaged):
			damage++
		case err != nil:
			t.Errorf("All: %v, want ErrDamaged", err)
		case dataset.Identify(ex).ID != ex.ID || ex.QualityScore != 0.9:
			t.Errorf("All: wrong example %q", ex.ID)
		default:
			intact++
		}
	}
	if intact < n && damage == 0 {
		t.Errorf("All: %d of %d examples and no error", intact, n)
	}
	for i := range n {
		want := dataset.Identify(newExample(i))
		got, err := s.Get(t.Context(), want.ID)
		if err == nil && got.Response != want.Response {
			t.Errorf("Get: wrong example %d", i)
		}
		if err != nil && !errors.Is(err, dataset.ErrDamaged) {
			t.Errorf("Get: %v, want ErrDamaged", err)
		}
	}
	return intact == n
}

// isSpare reports whether a file is made again, from the others, where it is
// missing or wrong.
func isSpare(path string) bool {
	name := filepath.Base(path)
	return name == "seal" || name == "tally"
}

func TestStore_neverReturnsDamagedFiles(t *testing.T) {
	const n = 50
	dir := closedStore(t, n)
	for _, path := range files(t, dir) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			step := max(1, info.Size()/6)
			for offset := int64(0); offset < info.Size(); offset += step {
				copied := t.TempDir()
				if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				name, err := filepath.Rel(dir, path)
				if err != nil {
					t.Fatal(err)
				}
				flip(t, filepath.Join(copied, name), offset)
				if !isSpare(path) && readBack(t, copied, n) {
					t.Errorf("byte %d flipped: not noticed", offset)
				}
				repaired(t, copied, n)
			}
		})
	}
}

func TestStore_noticesChangedFiles(t *testing.T) {
	tests := map[string]func(t *testing.T, path string) error{
		"deleted": func(_ *testing.T, path string) error { return os.Remove(path) },
		"emptied": func(_ *testing.T, path string) error { return os.Truncate(path, 0) },
		"cut": func(t *testing.T, path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return os.Truncate(path, info.Size()-1)
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			dir := closedStore(t, 5)
			for _, path := range files(t, dir) {
				if isSpare(path) {
					continue
				}
				copied := t.TempDir()
				if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				rel, _ := filepath.Rel(dir, path)
				if err := spoil(t, filepath.Join(copied, rel)); err != nil {
					t.Fatal(err)
				}
				_, err := dataset.Open(copied, dataset.Options{})
				if !errors.Is(err, dataset.ErrDamaged) || !strings.Contains(err.Error(), filepath.Base(path)) {
					t.Errorf("%s: %v, want ErrDamaged naming it", rel, err)
				}
			}
		})
	}
}

// Badger replays a log up to the damage and says nothing of the rest. The store
// was not closed here, so that no seal tells; the journal makes it good.
func TestStore_makesGoodACutLog(t *testing.T) {
	dir := t.TempDir()
	acked := killedWriter(t, dir, 0, false, 0)
	checkCopy := func(name string, spoil func(log string)) {
		t.Run(name, func(t *testing.T) {
			copied := t.TempDir()
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			logs, err := filepath.Glob(filepath.Join(copied, "badger", "*.mem"))
			if err != nil || len(logs) != 1 {
				t.Fatalf("logs %q, %v; want one", logs, err)
			}
			spoil(logs[0])
			checkPairs(t, copied, acked)
		})
	}
	checkCopy("flipped", func(log string) { flip(t, log, 500) })
	checkCopy("emptied", func(log string) {
		if err := os.Truncate(log, 20); err != nil {
			t.Fatal(err)
		}
	})
	checkCopy("deleted", func(log string) {
		if err := os.Remove(log); err != nil {
			t.Fatal(err)
		}
	})
	checkPairs(t, dir, acked)
}

// repaired checks that Check finds the damage in dir and brings all n examples
// back.
func repaired(t *testing.T, dir string, n int) {
	t.Helper()
	if found, err := dataset.Check(t.Context(), dir, dataset.CheckOptions{}); err != nil || found.Err() == nil {
		t.Errorf("Check found no damage: %+v, %v", found, err)
	}
	found, err := dataset.Check(t.Context(), dir, dataset.CheckOptions{Repair: true})
	if err != nil || !found.Repaired && found.Err() != nil || len(found.Lost) > 0 || found.Examples != uint64(n) {
		t.Errorf("Check: %+v, %v; want %d examples repaired", found, err, n)
		return
	}
	if !readBack(t, dir, n) {
		t.Error("not all examples are there after the repair")
	}
	if again, err := dataset.Check(t.Context(), dir, dataset.CheckOptions{}); err != nil || again.Err() != nil {
		t.Errorf("Check after the repair: %+v, %v", again, err)
	}
}

// Badger would start anew without its manifest, and delete the tables.
func TestStore_survivesWithoutManifest(t *testing.T) {
	dir := closedStore(t, 5)
	if err := os.Remove(filepath.Join(dir, "badger", "MANIFEST")); err != nil {
		t.Fatal(err)
	}
	_, err := dataset.Open(dir, dataset.Options{})
	if !errors.Is(err, dataset.ErrDamaged) || !strings.Contains(err.Error(), "MANIFEST") {
		t.Errorf("Open: %v, want ErrDamaged naming the manifest", err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "badger", "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Errorf("tables %q, %v; want the one that was there", tables, err)
	}
	repaired(t, dir, 5)
}

// A power cut may leave of Badger's files what it likes: a store that was not
// closed is made good from its journal.
func TestOpen_makesGoodWhatAPowerCutLeaves(t *testing.T) {
	const n = 200
	dir := closedStore(t, n)
	if err := os.Remove(filepath.Join(dir, "seal")); err != nil {
		t.Fatal(err)
	}
	spoilt := func(name string, spoil func(path string)) {
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		spoil(filepath.Join(copied, "badger", name))
		if !readBack(t, copied, n) {
			t.Errorf("%s was spoilt, and not all examples are there", name)
		}
		if found, err := dataset.Check(t.Context(), copied, dataset.CheckOptions{}); err != nil || found.Err() != nil {
			t.Errorf("%s: Check: %+v, %v", name, found, err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, "badger"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if ext := filepath.Ext(e.Name()); ext == ".sst" || e.Name() == "MANIFEST" {
			spoilt(e.Name(), func(path string) { os.Remove(path) })
			spoilt(e.Name(), func(path string) { os.Truncate(path, info.Size()/2) })
		}
		if filepath.Ext(e.Name()) != ".sst" {
			continue
		}
		for offset := int64(10); offset < info.Size(); offset += min(info.Size()/20, max(1, (info.Size()-offset)/2)) {
			spoilt(e.Name(), func(path string) { flip(t, path, offset) })
		}
	}
}
