package dataset

import (
	"os"
	"testing"
)

// A repair reads each table as if it were packed, and as if not: what is refused must
// be closed too, or the descriptors run out.
func TestTableRecords_closesTheTables(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), testExample(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	before, n := open(), 0
	for range tableRecords(dir) {
		n++
	}
	if after := open(); n == 0 || after > before {
		t.Errorf("%d records; %d descriptors before, %d after", n, before, after)
	}
}
