package dataset

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A write of the mark that is cut short may cost the state it was to hold, never
// the one before it.
func TestMark_survivesATornWrite(t *testing.T) {
	for _, last := range []uint64{5, 6} { // one in each slot
		dir := t.TempDir()
		m, st, err := openMark(dir, true)
		if err != nil || st != (state{}) {
			t.Fatalf("new mark: %+v, %v", st, err)
		}
		for n := uint64(1); n <= last; n++ {
			if err := m.write(state{n, n, n}); err != nil {
				t.Fatal(err)
			}
		}
		m.close()
		tearMark(t, dir, last)
	}
}

// tearMark damages each byte of the newest state, the last-th, in turn.
func tearMark(t *testing.T, dir string, last uint64) {
	t.Helper()
	path := filepath.Join(dir, markFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newest, other := 0, markSlotSize
	if got, _ := decodeState(markKey, whole[:recordOverhead+stateSize]); got.Changes != last {
		newest, other = other, newest
	}
	for i := range recordOverhead + stateSize {
		torn := bytes.Clone(whole)
		torn[newest+i] ^= 0xff
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		m, st, err := openMark(dir, false)
		if err != nil || st.Changes != last-1 {
			t.Fatalf("byte %d torn: %+v, %v; want the state before", i, st, err)
		}
		if err := m.write(state{9, 9, 9}); err != nil {
			t.Fatal(err)
		}
		if st, err := m.read(); err != nil || st.Changes != 9 {
			t.Fatalf("after another write: %+v, %v", st, err)
		}
		m.close()
		now, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(now[other:][:64], whole[other:][:64]) {
			t.Fatalf("the write did not go over the torn slot (%v)", err)
		}
	}
}

func TestOpenMark_withoutASlot(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, markFile), []byte("mark"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openMark(dir, true); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v, want ErrDamaged", err)
	}
}
