//go:build unix

package trainer

import (
	"os"
	"syscall"
	"testing"
)

// A run whose state is read in the moment that it ends has not died.
func TestRun_State_endsMeanwhile(t *testing.T) {
	r := newRun(t)
	path := r.path(stateFile)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil { // it is being read for as long as we write to it
		t.Fatal(err)
	}
	got := make(chan State)
	go func() {
		st, err := r.State()
		if err != nil {
			t.Error(err)
		}
		got <- st
	}()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(`{"status": "running"}`)); err != nil {
		t.Fatal(err)
	}
	if err := r.saveState(State{Status: StatusComplete}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if st := <-got; st.Status != StatusComplete || st.Error != "" {
		t.Errorf("%+v", st)
	}
}
