package dataset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestStore_refusesWithoutSpace(t *testing.T) {
	var free atomic.Uint64
	free.Store(math.MaxUint64)
	opts := Options{free: func(string) (uint64, error) { return free.Load(), nil }}
	dir := t.TempDir()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), testExample(1)); err != nil {
		t.Fatal(err)
	}
	id := Identify(testExample(1)).ID

	free.Store(5 << 20)
	_, putErr := s.Put(t.Context(), testExample(2))
	_, rateErr := s.Rate(t.Context(), id, 5)
	for call, err := range map[string]error{"Put": putErr, "Rate": rateErr} {
		if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "5 MiB free") {
			t.Errorf("%s: %v, want ErrNoSpace with what is free", call, err)
		}
	}
	if ex, err := s.Get(t.Context(), id); err != nil || ex.UserFeedback != 0 {
		t.Errorf("Get on a full disk: %d stars, %v", ex.UserFeedback, err)
	}

	free.Store(math.MaxUint64)
	if n, err := s.Put(t.Context(), testExample(2)); n != 1 || err != nil {
		t.Errorf("Put with room again = %d, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	free.Store(1 << 20)
	if s, err = Open(dir, opts); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Stats(t.Context()); st.Total != 2 || err != nil {
		t.Errorf("%d examples on a full disk, %v; want 2", st.Total, err)
	}
	if _, err := s.Put(t.Context(), testExample(3)); !errors.Is(err, ErrNoSpace) {
		t.Errorf("Put: %v, want ErrNoSpace", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	free.Store(math.MaxUint64)
	if s, err = Open(dir, opts); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if st, err := s.Stats(t.Context()); st.Total != 2 || err != nil {
		t.Errorf("%d examples, %v; want 2", st.Total, err)
	}
}

func TestDiskUse(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		use             diskUse
		toWork, toClose uint64
	}{
		{diskUse{}, 8 * mib, 1 * mib},
		{diskUse{logs: 10 * mib}, 28 * mib, 11 * mib},                 // flushed, then compacted
		{diskUse{tables: 10 * mib}, 18 * mib, 1 * mib},                // compacted
		{diskUse{logs: 1 * mib, tables: 1 << 40}, 265 * mib, 2 * mib}, // not all at once
	}
	for _, test := range tests {
		if got := test.use.toWork(); got != test.toWork {
			t.Errorf("%+v: %d MiB to work, want %d", test.use, got/mib, test.toWork/mib)
		}
		if got := test.use.toClose(); got != test.toClose {
			t.Errorf("%+v: %d MiB to close, want %d", test.use, got/mib, test.toClose/mib)
		}
	}
}

// Badger deletes files while the room is measured.
func TestStore_measuresWhileFilesGo(t *testing.T) {
	s := newStore(t.TempDir(), Options{})
	dir := filepath.Join(s.dir, badgerDir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	defer func() { <-done }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			path := filepath.Join(dir, fmt.Sprintf("%05d.mem", n%64))
			if err := os.WriteFile(path, []byte("log"), 0o600); err != nil {
				t.Error(err)
			}
			if err := os.Remove(filepath.Join(dir, fmt.Sprintf("%05d.mem", (n+32)%64))); err != nil && n >= 32 {
				t.Error(err)
			}
		}
	}()
	for range 2000 {
		if err := s.room(); err != nil {
			t.Fatal(err)
		}
		if _, err := measure(s.dir); err != nil {
			t.Fatal(err)
		}
	}
}

// A reserve that a crash has cut short is made anew; a kill leaves none that is short.
func TestStore_makesTheReserveWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, reserveFile)
	opts := Options{free: func(string) (uint64, error) { return math.MaxUint64, nil }}
	for _, left := range []string{reserveFile, reserveFile + unfinished} {
		if err := os.WriteFile(filepath.Join(dir, left), make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != reserveSize {
			t.Errorf("%s was left: %v, %v", left, info, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path + unfinished); err == nil {
		t.Error("the unfinished reserve is still there")
	}
}
