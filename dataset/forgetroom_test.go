package dataset

import (
	"errors"
	"math"
	"os"
	"sync/atomic"
	"testing"

	"retort/dataset/journal"
)

// Without room to write the store anew, whoever forgets is told so, others are not
// bothered, and it is made good when there is room.
func TestStore_Forget_withoutRoom(t *testing.T) {
	var free atomic.Uint64
	free.Store(math.MaxUint64)
	dir := t.TempDir()
	open := func() *Store {
		s, err := Open(dir, Options{free: func(string) (uint64, error) { return free.Load(), nil }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	if _, err := s.Put(t.Context(), testExample(1), testExample(2)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Forget(t.Context(), Identify(testExample(1)).ID); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	free.Store(8 << 20) // enough to close
	if err := s.Close(); !errors.Is(err, ErrNoSpace) {
		t.Errorf("Close: %v, want ErrNoSpace", err)
	}
	free.Store(8<<20 + 16<<10) // and to open
	for range 2 {
		s = open()
		if st, err := s.Stats(t.Context()); st.Total != 1 || err != nil {
			t.Errorf("%d examples, %v; want 1", st.Total, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if pending, err := isPending(dir); !pending || err != nil {
			t.Errorf("pending %t, %v", pending, err)
		}
	}
	free.Store(math.MaxUint64)
	if err := open().Close(); err != nil {
		t.Error(err)
	}
	if pending, err := isPending(dir); pending || err != nil {
		t.Errorf("pending %t, %v", pending, err)
	}
	if err := open().Close(); err != nil { // sealed as it is now
		t.Error(err)
	}
}

// Whatever keeps Open from writing the store anew, it says so, and all is there when
// it is opened again.
func TestOpen_cannotFinishForgetting(t *testing.T) {
	broken := errors.New("the disk does not answer")
	dir := t.TempDir()
	var allowed int // how often the disk answers
	opts := Options{free: func(string) (uint64, error) {
		if allowed--; allowed < 0 {
			return 0, broken
		}
		return math.MaxUint64, nil
	}}
	allowed = math.MaxInt
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), testExample(1), testExample(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Forget(t.Context(), Identify(testExample(1)).ID); err != nil {
		t.Fatal(err)
	}
	s.abandon() // like a process that is killed
	failures := 0
	for s = nil; s == nil; failures++ {
		allowed = failures
		if s, err = Open(dir, opts); err != nil && !errors.Is(err, broken) {
			t.Fatalf("the disk answers %d times: %v", failures, err)
		}
	}
	if failures < 3 { // the first look comes before there is a committer
		t.Errorf("opened after %d failures: writing anew was never kept from it", failures)
	}
	if pending, err := isPending(dir); pending || err != nil {
		t.Errorf("pending %t, %v", pending, err)
	}
	allowed = math.MaxInt
	if st, err := s.Stats(t.Context()); st.Total != 1 || err != nil {
		t.Errorf("%d examples, %v; want 1", st.Total, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// What could not be written anew whole does not stay on a disk that may be full of it.
func TestRebuild_leavesNothingUnfinished(t *testing.T) {
	dir := t.TempDir()
	full := errors.New("the disk is full")
	entries := func(yield func(journal.Entry, error) bool) {
		_ = yield(journal.Entry{Change: 1, Data: []byte("{}")}, nil) && yield(journal.Entry{}, full)
	}
	if err := rebuild(t.Context(), dir, 2, entries); !errors.Is(err, full) {
		t.Errorf("error %v, want that of the entries", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
