package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"retort/dataset/journal"
)

// tampered makes a store of five examples, the second of them rated, and lets
// tamper change it behind the store's back, leaving no seal.
func tampered(t *testing.T, tamper func(txn *badger.Txn, unrated []byte) error) string {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		if _, err := s.Put(t.Context(), testExample(n)); err != nil {
			t.Fatal(err)
		}
	}
	var unrated []byte
	err = s.view(t.Context(), func(txn *badger.Txn) (err error) {
		unrated, err = readRaw(txn, exampleKey(2))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rate(t.Context(), Identify(testExample(1)).ID, 5); err != nil {
		t.Fatal(err)
	}
	if err := s.arrived(); err != nil { // else what was put last would come after the tampering
		t.Fatal(err)
	}
	if err := s.db.Update(func(txn *badger.Txn) error { return tamper(txn, unrated) }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, sealFile)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// move puts the record of one key under another.
func move(txn *badger.Txn, from, to []byte) error {
	raw, err := readRaw(txn, from)
	if err != nil {
		return err
	}
	return txn.Set(to, raw)
}

func testIndexKey(n int) []byte { return indexKey(identity(testExample(n))) }

func TestOpen_verifiesAnUnsealedStore(t *testing.T) {
	tests := map[string]struct {
		tamper func(txn *badger.Txn, unrated []byte) error
		want   string
	}{
		"nothing": {func(*badger.Txn, []byte) error { return nil }, ""},
		"an example in the middle is lost": {
			func(txn *badger.Txn, _ []byte) error { return txn.Delete(exampleKey(3)) }, "example 3: "},
		"the first examples are lost": {
			func(txn *badger.Txn, _ []byte) error {
				return errors.Join(txn.Delete(exampleKey(1)), txn.Delete(exampleKey(2)))
			}, "examples 1 to 2: "},
		"the last example is lost": {
			func(txn *badger.Txn, _ []byte) error { return txn.Delete(exampleKey(5)) }, "example 5: "},
		"an example is empty": {
			func(txn *badger.Txn, _ []byte) error { return txn.Set(exampleKey(4), nil) }, "record of example 4: "},
		"an example stands in another's place": {
			func(txn *badger.Txn, _ []byte) error { return move(txn, exampleKey(3), exampleKey(4)) }, "record of example 4: "},
		"an example stands where none should": {
			func(txn *badger.Txn, _ []byte) error { return move(txn, exampleKey(3), exampleKey(6)) }, "example 6: "},
		"a key is none of ours": {
			func(txn *badger.Txn, _ []byte) error { return txn.Set([]byte("extra"), nil) }, `key "extra": `},
		"a rating is lost": {
			func(txn *badger.Txn, unrated []byte) error { return txn.Set(exampleKey(2), unrated) }, "older version"},
		"an index entry is lost": {
			func(txn *badger.Txn, _ []byte) error { return txn.Delete(testIndexKey(0)) }, "4 entries for 5 examples"},
		"an index entry is another's": {
			func(txn *badger.Txn, _ []byte) error { return move(txn, testIndexKey(0), testIndexKey(1)) }, "index entry sha256:"},
		"the state is lost": {
			func(txn *badger.Txn, _ []byte) error { return txn.Delete(stateKey) }, ""}, // the journal makes it good
		"the state is another's": {
			func(txn *badger.Txn, _ []byte) error { return move(txn, exampleKey(1), stateKey) }, "the store's state"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := tampered(t, test.tamper)
			copied := t.TempDir()
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			wantFive(t, copied) // made good from the journal
			found, err := Check(t.Context(), dir, CheckOptions{})
			if err != nil || (found.Err() != nil) != (test.want != "") || found.Err() != nil && !strings.Contains(found.Err().Error(), test.want) {
				t.Errorf("Check: %+v, %v; want %q", found, err, test.want)
			}
			found, err = Check(t.Context(), dir, CheckOptions{Repair: true})
			if err != nil || found.Err() != nil || len(found.Lost) > 0 || found.Examples != 5 {
				t.Errorf("Check: %+v, %v; want all repaired", found, err)
			}
			wantFive(t, dir)
		})
	}
}

// wantFive opens the store and checks that its five examples are whole.
func wantFive(t *testing.T, dir string) {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	report, err := s.Verify(t.Context())
	if err != nil || report.Err() != nil || report.Examples != 5 {
		t.Errorf("Verify: %+v, %v", report, err)
	}
}

// Where the journal is damaged as well, nothing is done without being asked.
func TestOpen_rescuesFromAWholeJournalAlone(t *testing.T) {
	dir := tampered(t, func(txn *badger.Txn, _ []byte) error { return txn.Delete(exampleKey(3)) })
	lines := filepath.Join(dir, journalDir, "000001.jsonl")
	raw, err := os.ReadFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(lines, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("Open: %v, want ErrDamaged", err)
	}
}

// A process that is killed while Badger makes a table, or removes a log, leaves half of
// it: that is no damage, and no reason to write the store anew, for which there may be no
// room.
func TestOpen_halfAFileIsNoDamage(t *testing.T) {
	dir := tampered(t, func(*badger.Txn, []byte) error { return nil })
	for name, size := range map[string]int64{"000098.sst": 0, "000099.sst": 1 << 20, "00099.mem": 0, "000099.vlog": 0} {
		path := filepath.Join(dir, badgerDir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
			t.Fatal(err)
		}
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if found, err := Check(t.Context(), copied, CheckOptions{}); err != nil || found.Err() != nil || found.Examples != 5 {
		t.Errorf("Check: %+v, %v", found, err)
	}
	use, err := measure(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{free: func(string) (uint64, error) { return use.toWork(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wantFive(t, dir)
}

// Nor is what is left of a process that was killed while it made the store.
func TestOpen_halfAStoreIsNoDamage(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir() // as it is before it is closed
	if err := errors.Join(os.CopyFS(copied, os.DirFS(dir)), s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"000001.vlog", "00001.mem"} {
		if err := os.Truncate(filepath.Join(copied, badgerDir, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = Open(copied, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), testExample(0)); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// What only Verify looks at: records that are sound but do not fit each other.
func TestStore_Verify_isThorough(t *testing.T) {
	rewrite := func(txn *badger.Txn, key []byte, edit func([]byte) []byte) error {
		raw, err := readRaw(txn, key)
		if err != nil {
			return err
		}
		change, payload, err := decodeRecord(key, raw)
		if err != nil {
			return err
		}
		return txn.Set(key, encodeRecord(key, change, edit(payload)))
	}
	tests := map[string]struct {
		tamper func(txn *badger.Txn) error
		want   string
	}{
		"content": {func(txn *badger.Txn) error {
			return rewrite(txn, exampleKey(3), func(p []byte) []byte {
				return []byte(strings.Replace(string(p), "answer", "untrue", 1))
			})
		}, "example 3: "},
		"not JSON": {func(txn *badger.Txn) error {
			return rewrite(txn, exampleKey(3), func(p []byte) []byte { return p[1:] })
		}, "example 3: "},
		"index": {func(txn *badger.Txn) error {
			return rewrite(txn, testIndexKey(2), func([]byte) []byte { return exampleKey(1)[1:] })
		}, "example 3: the store is damaged: the index leads to example 1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := tampered(t, func(txn *badger.Txn, _ []byte) error { return test.tamper(txn) })
			s, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			report, err := s.Verify(t.Context())
			if err != nil || report.Intact != 4 || !errors.Is(report.Err(), ErrDamaged) || !strings.Contains(report.Err().Error(), test.want) {
				t.Errorf("Verify: %+v, %v; want %q", report, err, test.want)
			}
		})
	}
}

// Another process may have stored something since Restore looked.
func TestReplaceByBackup_looksAgain(t *testing.T) {
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "retort.backup")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), testExample(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tail, err := journal.ReadFileTail(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := replaceByBackup(t.Context(), dir, path, tail, map[uint64]uint64{1: 1}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("%v, want ErrNotEmpty", err)
	}
}

// The backup may be added to while it is restored.
func TestReplaceByBackup_changedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "retort.backup")
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var tails [2]journal.FileTail
	for i := range tails {
		if _, err := s.Put(t.Context(), testExample(i)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Backup(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		if tails[i], err = journal.ReadFileTail(path); err != nil {
			t.Fatal(err)
		}
	}
	newest, err := newestIn(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint64{0, 2} {
		dir := t.TempDir()
		made, err := Open(dir, Options{})
		if err == nil {
			err = made.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := replaceByBackup(t.Context(), dir, path, tails[i], newest); (err == nil) != (want > 0) {
			t.Errorf("by tail %d: %v", i, err)
		}
		if made, err = Open(dir, Options{}); err != nil {
			t.Fatal(err)
		}
		if st, err := made.foundState(); err != nil || st.Changes != want {
			t.Errorf("by tail %d: %d changes, %v; want %d", i, st.Changes, err, want)
		}
		if err := made.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What is cut short by a kill, or a full disk, must not leave the backup's examples in
// a store that the backup is not of.
func TestReplaceByBackup_cutShort(t *testing.T) {
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "retort.backup")
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Put(t.Context(), testExample(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	tail, err := journal.ReadFileTail(path)
	if err != nil {
		t.Fatal(err)
	}
	made, err := Open(dir, Options{})
	if err == nil {
		err = made.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, formatFile)
	old, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	blocked := os.Remove(name)
	if blocked == nil {
		blocked = os.MkdirAll(filepath.Join(name, "in the way"), 0o700)
	}
	if blocked != nil {
		t.Fatal(blocked)
	}
	if replaceByBackup(t.Context(), dir, path, tail, map[uint64]uint64{1: 1}) != nil {
		if err := errors.Join(os.RemoveAll(name), os.WriteFile(name, old, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if made, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	if st, err := made.foundState(); err != nil || st.Changes > 0 {
		if _, err := made.Backup(t.Context(), path); err != nil {
			t.Error(err)
		}
	}
}
