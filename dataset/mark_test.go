package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A write of the mark that is cut short may cost the state it was to hold, never
// the one before it.
func TestMark_survivesATornWrite(t *testing.T) {
	dir := t.TempDir()
	m, st, err := openMark(dir, true)
	if err != nil || st != (state{}) {
		t.Fatalf("new mark: %+v, %v", st, err)
	}
	for n := uint64(1); n <= 5; n++ {
		if err := m.write(state{n, n, n}); err != nil {
			t.Fatal(err)
		}
	}
	m.close()
	whole, err := os.ReadFile(filepath.Join(dir, markFile))
	if err != nil {
		t.Fatal(err)
	}
	newest := 0 // slot that holds state 5
	if got, _ := decodeState(markKey, whole[:recordOverhead+stateSize]); got.Changes != 5 {
		newest = markSlotSize
	}
	for i := range recordOverhead + stateSize {
		torn := append([]byte(nil), whole...)
		torn[newest+i] ^= 0xff
		if err := os.WriteFile(filepath.Join(dir, markFile), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		m, st, err := openMark(dir, false)
		if err != nil || st.Changes != 4 {
			t.Fatalf("byte %d torn: %+v, %v; want the state before", i, st, err)
		}
		if err := m.write(state{6, 6, 6}); err != nil { // must go over the torn slot
			t.Fatal(err)
		}
		if st, err := m.read(); err != nil || st.Changes != 6 {
			t.Fatalf("after another write: %+v, %v", st, err)
		}
		m.close()
	}
	if err := os.Truncate(filepath.Join(dir, markFile), 10); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openMark(dir, false); !errors.Is(err, ErrDamaged) {
		t.Errorf("no slot left: %v, want ErrDamaged", err)
	}
}
