package dataset

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func bulk(n int) Example {
	ex := testExample(n)
	ex.Response = fmt.Sprint(n, strings.Repeat(" and so on", 100))
	return ex
}

// One long Put is committed in several groups, the next of which is gathered while
// the last one is on its way. What comes twice, near or far, is stored once, and
// gets the stars that it lacks.
func TestStore_Put_ofManyGroups(t *testing.T) {
	const n = 6000
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var list []Example
	rated := 0
	for i := range n {
		list = append(list, bulk(i))
		for _, ago := range []int{1, 900, 1100, 2500} { // in the same group, or one of the next
			if i%50 == 0 && i >= ago {
				again := bulk(i - ago)
				again.UserFeedback = 5
				list = append(list, again)
			}
		}
	}
	stored, err := s.Put(t.Context(), list...)
	if stored != n || err != nil {
		t.Fatalf("Put = %d, %v; want %d", stored, err, n)
	}
	i := 0
	for ex, err := range s.All(t.Context(), Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if ex.ID != Identify(bulk(i)).ID {
			t.Fatalf("example %d is another one", i)
		}
		if ex.UserFeedback == 5 {
			rated++
		}
		i++
	}
	if i != n || rated == 0 {
		t.Errorf("%d examples, %d of them rated", i, rated)
	}
	checkSums(t, s, "put")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := Check(t.Context(), dir, CheckOptions{}); err != nil || report.Err() != nil || report.Examples != n {
		t.Errorf("Check: %+v, %v", report, err)
	}
}

// Small changes of others come between the groups of long ones.
func TestStore_smallChangesAmongLongPuts(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const writers, n = 3, 2500
	var wg sync.WaitGroup
	for w := range writers {
		list := make([]Example, n)
		for i := range list {
			list[i] = bulk(w*n/2 + i) // half of them are another writer's, too
		}
		wg.Go(func() {
			if _, err := s.Put(t.Context(), list...); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			for i := range 60 {
				ex := Identify(bulk(1_000_000 + w*60 + i))
				if _, err := s.Put(t.Context(), ex); err != nil {
					t.Error(err)
				}
				if _, err := s.Rate(t.Context(), ex.ID, i%5+1); err != nil {
					t.Error(err)
				}
				if err := s.PutQueries(t.Context(), Query{Kind: "ensemble"}); err != nil {
					t.Error(err)
				}
				if i%3 == 0 {
					if got, err := s.Forget(t.Context(), ex.ID); got != 1 || err != nil {
						t.Errorf("Forget = %d, %v", got, err)
					}
				}
			}
		})
	}
	wg.Wait()
	checkSums(t, s, "after all")
	want := uint64(n + (writers-1)*n/2 + writers*40)
	if report, err := s.Verify(t.Context()); err != nil || report.Err() != nil || report.Examples != want || report.Queries != writers*60 {
		t.Errorf("Verify: %+v, %v; want %d examples", report, err, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := Check(t.Context(), dir, CheckOptions{}); err != nil || report.Err() != nil || report.Examples != want {
		t.Errorf("Check: %+v, %v", report, err)
	}
}
