package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// ledgerWith opens a ledger over a file with this content.
func ledgerWith(t *testing.T, text string) (*ledger, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), spentFile)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := openLedger(path)
	if err == nil {
		t.Cleanup(func() { l.Close() })
	}
	return l, err
}

func TestLedger_afterACrash(t *testing.T) {
	const asking, done = `{"step":"ask","task":"a","state":"asking","reserved_usd":2}` + "\n", `{"step":"ask","task":"a","state":"done","result":"kept","cost_usd":0.5}` + "\n"
	failed := strings.Replace(done, "kept", "failed", 1)
	for name, c := range map[string]struct {
		text        string
		spent, lost float64
		answered    bool
	}{
		"new":                       {"", 0, 0, false},
		"asked":                     {asking, 0, 2, false},
		"answered":                  {asking + done, 0.5, 0, true},
		"answered without a price":  {done, 0.5, 0, true},
		"failed":                    {asking + failed, 0.5, 0, false},
		"asked twice":               {asking + asking + done, 0.5, 2, true},
		"failed, then answered":     {asking + failed + asking + done, 1, 0, true},
		"the last line is cut":      {asking + done[:len(done)-1], 0, 2, false},
		"cut, and it was the first": {asking[:5], 0, 0, false},
	} {
		l, err := ledgerWith(t, c.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, answered := l.answered(stepAsk, "a")
		if l.spent != c.spent || l.lost != c.lost || answered != c.answered || l.reserved() != 0 {
			t.Errorf("%s: spent %g, lost %g, answered %v; want %+v", name, l.spent, l.lost, answered, c)
		}
		if _, other := l.answered(stepExpand, "a"); other {
			t.Errorf("%s: one step answers for another", name)
		}
	}
}

func TestLedger_goesOnAfterACutLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), spentFile)
	if err := os.WriteFile(path, []byte(`{"step":"ask","task":"a","sta`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l, err := openLedger(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.asking(stepAsk, "b", 1), l.done(ledgerLine{Step: stepAsk, Task: "b", Result: resultKept, Cost: 0.25})); err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	l, err := openLedger(path)
	if err != nil || l.spent != 0.5 || l.lost != 0 {
		t.Fatalf("spent %v, lost %v, error %v", l.spent, l.lost, err)
	}
	l.Close()
}

func TestLedger_damaged(t *testing.T) {
	for _, text := range []string{"nonsense\n", "{}\n", `{"step":"ask","task":"a","state":"thinking"}` + "\n",
		`{"step":"ask","task":"a","state":"done","cost_usd":-1}` + "\n", `{"step":"ask","task":"a","state":"asking","reserved_usd":-1}` + "\n"} {
		if _, err := ledgerWith(t, text); !errors.Is(err, errDamagedLedger) || exitCode(err) != exitDamaged {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// fullFile is a file on a disk that fills up after some bytes.
type fullFile struct{ room int }

func (f *fullFile) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	if f.room -= n; n < len(p) {
		return n, &os.PathError{Op: "write", Path: spentFile, Err: syscall.ENOSPC}
	}
	return n, nil
}
func (f *fullFile) Sync() error  { return nil }
func (f *fullFile) Close() error { return nil }

func newTestLedger(f durableFile) *ledger {
	return &ledger{file: f, open: map[string]ledgerLine{}, closed: map[string]ledgerLine{}}
}

func TestLedger_fullDisk(t *testing.T) {
	f := &fullFile{room: 300}
	l := newTestLedger(f)
	var err error
	for range 10 {
		if err = l.asking(stepAsk, "a", 1); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.room = 1 << 20 // half a line is there: nothing may follow it
	if again := l.asking(stepAsk, "b", 1); again != err {
		t.Errorf("after the disk was full: %v", again)
	}
	if free := l.asking(stepAsk, "c", 0); free != err {
		t.Errorf("a question without a price: %v", free)
	}
}

func TestLedger_fits(t *testing.T) {
	l := newTestLedger(&fullFile{1 << 20})
	l.spent, l.lost = 1, 0.5
	if err := l.asking(stepAsk, "a", 0.25); err != nil {
		t.Fatal(err)
	}
	for most, want := range map[float64]bool{0: true, 0.25: true, 0.2501: false} {
		if l.fits(most, 2) != want {
			t.Errorf("%g more: %v, want %v", most, !want, want)
		}
	}
	if !l.fits(0, 0) {
		t.Error("what costs nothing fits no empty purse")
	}
}
