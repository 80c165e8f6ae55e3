package dataset_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"retort/dataset"
)

// unpack extracts a fixture: a store as a release left it.
func unpack(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			err = unpackFile(path, r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func unpackFile(path string, r io.Reader) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}

// Each fixture holds 24 examples and a better answer to one of them, three ratings, and
// five logged queries.
func checkFixture(t *testing.T, dir string) {
	t.Helper()
	s := open(t, dir)
	report, err := s.Verify(t.Context())
	if err != nil || report.Err() != nil || report.Examples != 25 || report.Queries != 5 {
		t.Fatalf("Verify: %+v, %v", report, err)
	}
	stars := map[int]int{}
	rejected := 0
	for _, ex := range list(t, s, dataset.Filter{}) {
		stars[ex.UserFeedback]++
		rejected += len(ex.Rejected)
		if dataset.Identify(ex).ID != ex.ID {
			t.Errorf("%s has another content", ex.ID)
		}
	}
	if stars[5] != 2 || stars[4] != 1 || stars[2] != 1 || stars[1] != 1 || rejected != 1 {
		t.Errorf("stars %v and %d rejected answers", stars, rejected)
	}
	shut(t, s)
}

func TestOpen_bringsOldStoresUpToDate(t *testing.T) {
	for _, name := range []string{"format1-closed.tar.gz", "format1-killed.tar.gz", "format2-closed.tar.gz", "format2-killed.tar.gz"} {
		t.Run(name, func(t *testing.T) {
			dir := unpack(t, name)
			for range 2 {
				checkFixture(t, dir)
			}
			if _, err := os.Stat(filepath.Join(dir, "mark")); err == nil {
				t.Error("the mark of format 1 is still there")
			}
			if report, err := dataset.Check(t.Context(), dir, dataset.CheckOptions{}); err != nil || report.Err() != nil {
				t.Errorf("Check: %+v, %v", report, err)
			}
		})
	}
}

func TestOpen_findsDamageInOldStores(t *testing.T) {
	for _, name := range []string{"mark", "badger/000001.sst", "badger/MANIFEST"} {
		dir := unpack(t, "format1-closed.tar.gz")
		if err := os.Truncate(filepath.Join(dir, name), 11); err != nil {
			t.Fatal(err)
		}
		if _, err := dataset.Open(dir, dataset.Options{}); !errors.Is(err, dataset.ErrDamaged) {
			t.Errorf("%s cut: %v, want ErrDamaged", name, err)
		}
	}
}

func TestOpen_refusesNewerStores(t *testing.T) {
	dir := closedStore(t, 1)
	if err := os.WriteFile(filepath.Join(dir, "format"), []byte("retort store 3 00112233445566778899aabbccddeeff b2925c36\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := dataset.Open(dir, dataset.Options{})
	if err == nil || errors.Is(err, dataset.ErrDamaged) {
		t.Errorf("Open: %v, want a refusal that names no damage", err)
	}
}
