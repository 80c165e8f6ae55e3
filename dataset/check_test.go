package dataset_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"

	"retort/dataset"
)

// livedInStore makes a closed store in which everything was done that can be.
func livedInStore(t *testing.T) (dir string, want []dataset.Example) {
	t.Helper()
	dir = closedStore(t, 60)
	s := open(t, dir)
	for i := range 20 {
		if _, err := s.Rate(t.Context(), dataset.Identify(newExample(i)).ID, i%5+1); err != nil {
			t.Fatal(err)
		}
		if err := s.PutQueries(t.Context(), dataset.Query{Kind: "ensemble", Strategy: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Prefer(t.Context(), dataset.Preference{ID: dataset.Identify(newExample(30)).ID, Stars: 2, Better: "31, of course."}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Forget(t.Context(), dataset.Identify(newExample(40)).ID); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	s = open(t, dir)
	for i := 60; i < 80; i++ {
		put(t, s, newExample(i))
	}
	want = list(t, s, dataset.Filter{})
	shut(t, s)
	os.Remove(filepath.Join(dir, "reserve")) // made again; it is large to copy
	return dir, want
}

// spoil damages one file, and says how.
func spoil(t *testing.T, path string, rng *rand.Rand) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	how := rng.IntN(3)
	if info.Size() == 0 {
		how = 2
	}
	switch how {
	case 0:
		at := rng.Int64N(info.Size())
		flip(t, path, at)
		return fmt.Sprintf("byte %d of %s flipped", at, filepath.Base(path))
	case 1:
		size := rng.Int64N(info.Size())
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s cut to %d bytes", filepath.Base(path), size)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return filepath.Base(path) + " deleted"
}

// The bar: each of 100 random damages is found and repaired, and before that no
// wrong record is returned. Files that only save time may be deleted.
func TestCheck_findsAndRepairsAnyDamage(t *testing.T) {
	times := 100
	if testing.Short() {
		times = 20
	}
	dir, want := livedInStore(t)
	known := map[string]dataset.Example{}
	for _, ex := range want {
		known[ex.ID] = ex
	}
	rng := rand.New(rand.NewPCG(1, 2))
	all := files(t, dir)
	for i := range times {
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(dir, all[i%len(all)])
		if err != nil {
			t.Fatal(err)
		}
		what := spoil(t, filepath.Join(copied, name), rng)
		neverWrong(t, copied, known, what)
		found, err := dataset.Check(t.Context(), copied, dataset.CheckOptions{Repair: true})
		if err != nil || len(found.Lost) > 0 || !found.Repaired && !(isSpare(name) && strings.HasSuffix(what, "deleted")) && name != "seal" {
			t.Fatalf("%s: Check: %+v, %v", what, found, err)
		}
		s := open(t, copied)
		if diff := cmp.Diff(want, list(t, s, dataset.Filter{})); diff != "" {
			t.Fatalf("%s: repaired otherwise (-before +after):\n%s", what, diff)
		}
		shut(t, s)
		if err := os.RemoveAll(copied); err != nil {
			t.Fatal(err)
		}
	}
}

// neverWrong reads a copy of a damaged store: it is refused, or what it gives is
// right.
func neverWrong(t *testing.T, dir string, known map[string]dataset.Example, what string) {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(copied)
	s, err := dataset.Open(copied, dataset.Options{})
	if err != nil {
		return
	}
	defer s.Close()
	n := 0
	for ex, err := range s.All(t.Context(), dataset.Filter{}) {
		n++
		if err == nil && !cmp.Equal(ex, known[ex.ID]) {
			t.Errorf("%s: %s came back otherwise", what, ex.ID)
		}
	}
	if n != len(known) {
		t.Errorf("%s: %d examples and errors, want %d", what, n, len(known))
	}
}

// Both sides are damaged: what is intact on either is kept, the rest is named.
func TestCheck_namesWhatIsLost(t *testing.T) {
	dir := closedStore(t, 40)
	lines := filepath.Join(dir, "journal", "000001.jsonl")
	raw, err := os.ReadFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	// The journal's lines are of one size: spoil one early and one late.
	flip(t, lines, int64(len(raw))/4)
	flip(t, lines, int64(len(raw))*3/4)
	tables, err := filepath.Glob(filepath.Join(dir, "badger", "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatal(tables, err)
	}
	if err := os.Truncate(tables[0], 100); err != nil {
		t.Fatal(err)
	}
	found, err := dataset.Check(t.Context(), dir, dataset.CheckOptions{Repair: true})
	if err != nil || !found.Repaired || len(found.Lost) != 2 || found.Examples != 38 {
		t.Fatalf("Check: %+v, %v; want two of 40 examples lost", found, err)
	}
	if left := list(t, open(t, dir), dataset.Filter{}); len(left) != 38 {
		t.Errorf("%d examples are left, want 38", len(left))
	}
}

// What is intact on one side is not lost because something else on that side is damaged.
func TestCheck_takesWhatIsIntactAnywhere(t *testing.T) {
	dir := closedStore(t, 200)
	lines := filepath.Join(dir, "journal", "000001.jsonl")
	tables, err := filepath.Glob(filepath.Join(dir, "badger", "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatal(tables, err)
	}
	damage := func(path string, share float64) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		flip(t, path, int64(share*float64(info.Size())))
	}
	damage(lines, 0.2) // they have the examples in one order
	damage(tables[0], 0.5)
	damage(lines, 0.8)
	found, err := dataset.Check(t.Context(), dir, dataset.CheckOptions{Repair: true})
	if err != nil || !found.Repaired || len(found.Lost) > 0 || found.Examples != 200 {
		t.Fatalf("Check: %+v, %v; want all of 200 examples", found, err)
	}
	if left := list(t, open(t, dir), dataset.Filter{}); len(left) != 200 {
		t.Errorf("%d examples are left, want 200", len(left))
	}
}

// The store is the same, bit for bit, when it is built from its journal.
func TestCheck_rebuildsFromTheJournalAlone(t *testing.T) {
	dir, want := livedInStore(t)
	before := backupOf(t, dir)
	if err := os.RemoveAll(filepath.Join(dir, "badger")); err != nil {
		t.Fatal(err)
	}
	found, err := dataset.Check(t.Context(), dir, dataset.CheckOptions{Repair: true})
	if err != nil || !found.Repaired || found.Examples != uint64(len(want)) {
		t.Fatalf("Check: %+v, %v", found, err)
	}
	if diff := cmp.Diff(before, backupOf(t, dir)); diff != "" {
		t.Errorf("other records (-before +after):\n%s", diff)
	}
}

// A store of format 1 has no journal: all there is are Badger's tables, packed by Snappy.
func TestCheck_repairsOldStores(t *testing.T) {
	dir := unpack(t, "format1-killed.tar.gz")
	third := binary.BigEndian.AppendUint64([]byte("e"), 3) // its key, see layout.go
	db, err := badger.Open(badger.DefaultOptions(filepath.Join(dir, "badger")).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(txn *badger.Txn) error { return txn.Delete(third) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	found, err := dataset.Check(t.Context(), dir, dataset.CheckOptions{Repair: true})
	if err != nil || !found.Repaired || found.Examples != 25 || found.Queries != 5 || len(found.Lost) > 0 {
		t.Fatalf("Check: %+v, %v; want 25 examples, since the table still has the third, and 5 queries", found, err)
	}
	checkFixture(t, dir)
}

// A Badger that is open when its files are replaced would write to the new ones.
func TestCheck_closesBadgerBeforeRepair(t *testing.T) {
	dir := closedStore(t, 1)
	s := open(t, dir)
	for i := 1; i < 5; i++ {
		put(t, s, newExample(i))
	}
	list(t, s, dataset.Filter{})
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(killed, "badger", "*.mem"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	for _, path := range logs { // so that it is brought back from the journal, which
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	lines := filepath.Join(killed, "journal", "000001.jsonl")
	raw, err := os.ReadFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, lines, int64(bytes.LastIndex(raw, []byte(`"position":2`)))) // is damaged there

	free := errors.New("not asked")
	stage := func(what string) {
		if what != "writing the store anew" {
			return
		}
		db, err := badger.Open(badger.DefaultOptions(filepath.Join(killed, "badger")).WithLogger(nil))
		if free = err; err == nil {
			free = db.Close()
		}
	}
	if found, err := dataset.Check(t.Context(), killed, dataset.CheckOptions{Repair: true, Stage: stage}); err != nil || !found.Repaired {
		t.Fatalf("Check: %+v, %v", found, err)
	}
	if free != nil {
		t.Errorf("Badger is open when the store is written anew: %v", free)
	}
}

// backupOf is all records of a store with their change numbers, as text.
func backupOf(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "all.backup")
	s := open(t, dir)
	backup(t, s, path)
	shut(t, s)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
