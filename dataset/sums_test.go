package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checkSums compares the sums that were kept up to date with sums over all
// examples.
func checkSums(t *testing.T, s *Store, when string) {
	t.Helper()
	got, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.stats(), got); diff != "" {
		t.Errorf("%s: (-counted +kept)\n%s", when, diff)
	}
}

func TestStore_Stats_areKeptUpToDate(t *testing.T) {
	dir := t.TempDir()
	reopen := func() *Store {
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := reopen()
	checkSums(t, s, "empty")
	ids := make([]string, 30)
	for n := range ids {
		ex := testExample(n)
		ex.TaskType = fmt.Sprint("task ", n%3)
		ids[n] = Identify(ex).ID
		if _, err := s.Put(t.Context(), ex); err != nil {
			t.Fatal(err)
		}
	}
	checkSums(t, s, "put")
	for i, id := range ids[:10] {
		if _, err := s.Rate(t.Context(), id, i%5+1); err != nil {
			t.Fatal(err)
		}
	}
	checkSums(t, s, "rated")
	for range 2 { // the second time both are there
		if _, _, err := s.Prefer(t.Context(), Preference{ID: ids[3], Stars: 2, Better: "a better answer"}); err != nil {
			t.Fatal(err)
		}
		checkSums(t, s, "preferred")
	}
	again := testExample(12)
	again.UserFeedback, again.Rejected = 4, []string{"no", "never"}
	if _, err := s.Put(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	checkSums(t, s, "put again with stars")
	if n, err := s.Forget(t.Context(), ids[3], ids[12], ids[20]); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	checkSums(t, s, "forgotten")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen()
	if s.sums.tally == nil {
		t.Error("the sums were not kept")
	}
	checkSums(t, s, "opened again")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// Sums that are not of this store, or no sums.
	path := filepath.Join(dir, tallyFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), whole...)
	flipped[len(flipped)/2] ^= 1
	for name, raw := range map[string][]byte{"flipped": flipped, "empty": {}, "of another time": encodeRecord(tallyKey, 1, whole[recordHeader:len(whole)-4])} {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s = reopen()
		if s.sums.tally != nil {
			t.Errorf("sums that are %s were taken", name)
		}
		checkSums(t, s, name)
		if s.sums.tally == nil {
			t.Error("what was counted was not kept")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Who has called Put may use its slices again, while the sums are still to be made.
func TestStore_Put_keepsNoSliceForTheSums(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	models := []string{"first"}
	ex := testExample(1)
	ex.Source.Models = models
	it, err := s.item(ex, ex.CreatedAt)
	if err != nil {
		t.Fatal(err)
	}
	models[0] = "second"
	if got := it.example.Source.Models[0]; got != "first" {
		t.Errorf("model %q, want that of the call", got)
	}
}

// endsLate is a context that ends when the sums of a store are known.
type endsLate struct {
	context.Context
	s *Store
}

func (c endsLate) Err() error {
	if _, known := c.s.sums.stats(); known {
		return context.Canceled
	}
	return nil
}

func TestStore_Stats_whenCancelledAtTheEnd(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Put(t.Context(), testExample(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.arrived(); err != nil {
		t.Fatal(err)
	}
	s.sums.set(nil)
	if st, err := s.Stats(endsLate{context.Background(), s}); err == nil && st.Total != 1 {
		t.Errorf("%d examples and no error, want 1", st.Total)
	}
}

// Close waits for the sums that are asked for.
func TestStore_Stats_whileClosing(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), testExample(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.arrived(); err != nil {
		t.Fatal(err)
	}
	s.sums.set(nil)
	holding, release := make(chan struct{}), make(chan struct{})
	if _, err := s.committer.hand(t.Context(), true, func(*batch) error { close(holding); <-release; return nil }); err != nil {
		t.Fatal(err)
	}
	<-holding
	var wg sync.WaitGroup
	wg.Go(func() {
		if st, err := s.Stats(t.Context()); st.Total != 1 || err != nil {
			t.Errorf("%d examples, %v; want 1", st.Total, err)
		}
	})
	for len(s.committer.queue) == 0 {
		runtime.Gosched()
	}
	wg.Go(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for s.enter() == nil {
		s.leave()
	}
	close(release)
	wg.Wait()
}
