package dataset

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"retort/dataset/journal"
	"retort/llm"
)

func testExample(n int) Example {
	return Example{Messages: []llm.Message{llm.User(fmt.Sprint("question ", n))}, Response: "answer", QualityScore: 0.9}
}

// The committer is held up with one change while others queue behind it: they
// must share the commit.
func TestCommitter_groupsWhatWaits(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const writers = 20
	holding, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.committer.submit(t.Context(), func(*batch) error {
			close(holding)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-holding
	for i := range writers {
		wg.Go(func() {
			if n, err := s.Put(t.Context(), testExample(i)); n != 1 || err != nil {
				t.Errorf("Put = %d, %v", n, err)
			}
		})
	}
	for len(s.committer.queue) < writers {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	if commits := s.committer.commits.Load(); commits != 1 {
		t.Errorf("%d commits for %d puts, want 1", commits, writers)
	}
}

// One caller's refusal must not be the others'.
func TestCommitter_refusesOneOfAGroup(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	outcome := func(ctx context.Context, apply func(*batch) error) *change {
		ch := &change{ctx, apply, true, make(chan error, 1)}
		s.committer.queue <- ch
		return ch
	}
	add := func(n int) func(*batch) error {
		return func(b *batch) error {
			it, err := s.item(testExample(n), testExample(n).CreatedAt)
			if err != nil {
				return err
			}
			return b.add(it.digest, Example{}, it.payload)
		}
	}
	ready := make(chan struct{})
	first := outcome(t.Context(), func(b *batch) error { <-ready; return add(1)(b) })
	refused := outcome(t.Context(), func(*batch) error { return ErrNotFound })
	panicked := outcome(t.Context(), func(*batch) error { panic("over damaged files") })
	late := outcome(cancelled, add(2))
	last := outcome(t.Context(), add(3))
	close(ready)
	if err := <-first.done; err != nil {
		t.Error(err)
	}
	if err := <-last.done; err != nil {
		t.Error(err)
	}
	for name, ch := range map[string]*change{"refused": refused, "panicked": panicked, "late": late} {
		if err := <-ch.done; err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	st, err := s.Stats(t.Context())
	if err != nil || st.Total != 2 {
		t.Errorf("%d examples, %v; want 2", st.Total, err)
	}
	if commits := s.committer.commits.Load(); commits != 1 {
		t.Errorf("%d commits, want 1", commits)
	}
}

// After a commit of unknown outcome nothing more may be acknowledged.
func TestCommitter_stopsAfterAFailedSync(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), testExample(1)); err != nil {
		t.Fatal(err)
	}
	whole := s.journal
	if s.journal, err = journal.Open(filepath.Join(t.TempDir(), "elsewhere")); err != nil { // at another change
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), testExample(2)); err == nil {
		t.Error("a Put that the journal refused was acknowledged")
	}
	s.journal = whole
	if _, err := s.Put(t.Context(), testExample(2)); err != nil { // nothing had reached Badger
		t.Error(err)
	}
	err = s.committer.submit(t.Context(), func(b *batch) error {
		it, err := s.item(testExample(3), testExample(3).CreatedAt)
		if err != nil {
			return err
		}
		return errors.Join(b.add(it.digest, it.example, it.payload), s.db.Close())
	})
	if err != nil { // the journal has it
		t.Error(err)
	}
	if _, err := s.Get(t.Context(), Identify(testExample(3)).ID); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("a read of what never came to Badger: %v", err)
	}
	if _, err := s.Stats(t.Context()); err == nil {
		t.Error("sums without what never came to Badger")
	}
	if _, err := s.Put(t.Context(), testExample(4)); err == nil {
		t.Error("a Put after that was acknowledged")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, n := range []int{1, 2, 3} {
		if _, err := s.Get(t.Context(), Identify(testExample(n)).ID); err != nil {
			t.Errorf("example %d was acknowledged: %v", n, err)
		}
	}
	if _, err := s.Put(t.Context(), testExample(4)); err != nil {
		t.Errorf("after opening anew: %v", err)
	}
}

func TestStore_failsOnWhatBadgerLogs(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 0
	if _, err := s.Put(t.Context(), testExample(1), testExample(2)); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range s.scan(t.Context()) { // All reads ahead of its loop
		if n++; n == 1 {
			s.log.Errorf("value log: %s", "checksum mismatch")
		}
		last = err
	}
	if n != 3 || last == nil {
		t.Errorf("the scan ended after %d with %v, want two examples and an error", n, last)
	}
	if _, err := s.Get(t.Context(), Identify(testExample(1)).ID); err != nil {
		t.Errorf("a later read: %v", err)
	}
}

// Nor must the failure of one that had begun to write.
func TestCommitter_failsOneOfAGroup(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Put(t.Context(), testExample(0), testExample(1), testExample(2)); err != nil {
		t.Fatal(err)
	}
	if err := s.arrived(); err != nil { // so that they can be in one group
		t.Fatal(err)
	}
	holding, release := make(chan struct{}), make(chan struct{})
	hold := sync.OnceFunc(func() { close(holding); <-release })
	first, err := s.committer.hand(t.Context(), false, func(*batch) error { hold(); return nil })
	if err != nil {
		t.Fatal(err)
	}
	<-holding
	hand := func(apply func(*batch) error) *change {
		ch, err := s.committer.hand(t.Context(), true, apply)
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	add := func(n int) func(*batch) error {
		return func(b *batch) error {
			it, err := s.item(testExample(n), testExample(n).CreatedAt)
			if err != nil {
				return err
			}
			return b.add(it.digest, it.example, it.payload)
		}
	}
	forget := func(n int) func(*batch) error {
		return func(b *batch) error {
			_, err := s.forget(b, []string{Identify(testExample(n)).ID, "sha256:"})
			return errors.Join(err, ErrAmbiguous)
		}
	}
	good := []*change{first, hand(add(3)), hand(add(4))}
	bad := []*change{hand(forget(0)), hand(forget(1))}
	good = append(good, hand(add(5)))
	close(release)
	for i, ch := range good {
		if err := ch.wait(); err != nil {
			t.Errorf("good change %d: %v", i, err)
		}
	}
	for i, ch := range bad {
		if err := ch.wait(); !errors.Is(err, ErrAmbiguous) {
			t.Errorf("bad change %d: %v", i, err)
		}
	}
	n := 0
	for ex, err := range s.All(t.Context(), Filter{}) {
		if want := Identify(testExample(n)).ID; err != nil || ex.ID != want {
			t.Errorf("example %d is %q, %v; want %q", n, ex.ID, err, want)
		}
		n++
	}
	if n != 6 {
		t.Errorf("%d examples, want 6", n)
	}
}

// What a group in flight has forgotten is new to the next one, which does not see that
// in Badger yet.
func TestBatch_positionOfTheForgotten(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Put(t.Context(), testExample(1), testExample(2)); err != nil {
		t.Fatal(err)
	}
	if err := s.arrived(); err != nil {
		t.Fatal(err)
	}
	flying, next := s.newBatch(state{Positions: 2, Changes: 2}), s.newBatch(state{})
	defer flying.txn.Discard()
	defer next.txn.Discard()
	next.inFlight = flying
	it, err := s.item(testExample(3), testExample(3).CreatedAt)
	if err != nil {
		t.Fatal(err)
	}
	if err := flying.add(it.digest, it.example, it.payload); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 3} { // stored before, and in the same group
		if n, err := s.forget(flying, []string{Identify(testExample(n)).ID}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	for n, want := range map[int]uint64{1: 0, 2: 2, 3: 0} {
		if got, err := next.position(identity(testExample(n))); got != want || err != nil {
			t.Errorf("example %d is at %d, %v; want %d", n, got, err, want)
		}
	}
}

// Whoever changes their mind at once has the example back.
func TestStore_Put_rightAfterForget(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 50 {
		if n, err := s.Put(t.Context(), testExample(1)); n != 1 || err != nil {
			t.Fatalf("Put = %d, %v the %d. time, want 1", n, err, i+1)
		}
		if n, err := s.Forget(t.Context(), Identify(testExample(1)).ID); n != 1 || err != nil {
			t.Fatalf("Forget = %d, %v the %d. time, want 1", n, err, i+1)
		}
	}
}
