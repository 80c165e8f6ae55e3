package dataset_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"retort/dataset"
	"retort/llm"
)

const secretText = "zebra-4711-quagga-Xw9Lk2"

func secretExample() dataset.Example {
	ex := newExample(1000)
	ex.Messages = append(ex.Messages, llm.Assistant("Go on."), llm.User(secretText))
	return ex
}

// rawFilesWith lists the files under dir that hold text. Badger's tables are
// compressed, by snappy, which leaves a first occurrence as it is.
func rawFilesWith(t *testing.T, dir, text string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err == nil && bytes.Contains(raw, []byte(text)) {
			names = append(names, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestStore_Forget(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fill(t, s, 50)
	secret := put(t, s, secretExample())
	if _, err := s.Rate(t.Context(), secret.ID, 5); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	s = open(t, dir) // its text is in a table and in the journal now
	if found := rawFilesWith(t, dir, secretText); len(found) < 2 {
		t.Fatalf("the text is in %q alone: this test would prove nothing", found)
	}
	for i, want := range []int{2, 0} {
		n, err := s.Forget(t.Context(), secret.ID, dataset.Identify(newExample(7)).ID, "sha256:"+strings.Repeat("0", 64))
		if n != want || err != nil {
			t.Errorf("Forget = %d, %v; want %d the %d. time", n, err, want, i+1)
		}
	}
	if _, err := s.Get(t.Context(), secret.ID); !errors.Is(err, dataset.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	if _, err := s.Rate(t.Context(), secret.ID, 1); !errors.Is(err, dataset.ErrNotFound) {
		t.Errorf("Rate: %v, want ErrNotFound", err)
	}
	if left := list(t, s, dataset.Filter{}); len(left) != 49 {
		t.Errorf("%d examples are left, want 49", len(left))
	}
	if report, err := s.Verify(t.Context()); err != nil || report.Err() != nil || report.Examples != 49 {
		t.Errorf("Verify: %+v, %v", report, err)
	}
	shut(t, s)
	if found := rawFilesWith(t, dir, secretText); len(found) > 0 {
		t.Errorf("the text is still in %q", found)
	}
	s = open(t, dir)
	if left := list(t, s, dataset.Filter{}); len(left) != 49 {
		t.Errorf("%d examples are left when opened again, want 49", len(left))
	}
	put(t, s, secretExample()) // the owner may change their mind
	shut(t, s)
	if report, err := dataset.Check(t.Context(), dir, dataset.CheckOptions{}); err != nil || report.Err() != nil || report.Examples != 50 {
		t.Errorf("Check: %+v, %v", report, err)
	}
}

// Killed between the forgetting and the writing anew.
func TestOpen_finishesForgetting(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fill(t, s, 3)
	secret := put(t, s, secretExample())
	if _, err := s.Forget(t.Context(), secret.ID); err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil { // as a killed process leaves it
		t.Fatal(err)
	}
	if len(rawFilesWith(t, copied, secretText)) == 0 {
		t.Fatal("the text is gone already: this test would prove nothing")
	}
	s = open(t, copied)
	if left := list(t, s, dataset.Filter{}); len(left) != 3 {
		t.Errorf("%d examples are left, want 3", len(left))
	}
	if _, err := s.Put(t.Context(), newExample(9)); err != nil {
		t.Error(err)
	}
	if found := rawFilesWith(t, copied, secretText); len(found) > 0 {
		t.Errorf("the text is still in %q", found)
	}
}

func TestStore_Forget_manyAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	const n = 2500
	fill(t, s, n)
	var ids []string
	for i := range n - 1 {
		ids = append(ids, dataset.Identify(newExample(i)).ID)
	}
	if got, err := s.Forget(t.Context(), ids...); got != n-1 || err != nil {
		t.Errorf("Forget = %d, %v; want %d", got, err, n-1)
	}
	shut(t, s)
	if left := list(t, open(t, dir), dataset.Filter{}); len(left) != 1 {
		t.Errorf("%d examples are left, want 1", len(left))
	}
}
