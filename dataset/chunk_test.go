package dataset

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPut_ofAThousandIsOneCommit(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	batch := make([]Example, 1000)
	for i := range batch {
		batch[i] = testExample(i)
		batch[i].Response = strings.Repeat("a", 600) // about 1 KiB in all
	}
	before := s.committer.commits.Load()
	if n, err := s.Put(t.Context(), batch...); err != nil || n != len(batch) {
		t.Fatal(n, err)
	}
	if n := s.committer.commits.Load() - before; n != 1 {
		t.Errorf("%d commits", n)
	}
}

// TestBatch_fitsATransaction: the largest group, of small examples and of large
// ones, is within what Badger allows.
func TestBatch_fitsATransaction(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, size := range []int{1, 1000, 400 << 10} {
		b := s.newBatch(s.committer.state)
		total, n := 0, 0
		item := func() []item {
			n++
			ex := testExample(n)
			ex.Response = fmt.Sprint(size, strings.Repeat("b", size))
			items, err := s.prepare([]Example{ex}, 0, 1, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			total += len(items[0].payload) + exampleOverhead
			return items
		}
		for b.size < maxBatch { // what a group has when it takes its last change
			if _, _, err := s.addNew(b, item()); err != nil {
				t.Fatal(err)
			}
		}
		for total = 0; ; {
			items := item()
			if total > maxChunk {
				break
			}
			if _, _, err := s.addNew(b, items); err != nil {
				t.Fatalf("with examples of %d bytes: %v", size, err)
			}
		}
		if err := b.setState(); err != nil {
			t.Errorf("with examples of %d bytes: %v", size, err)
		}
		b.txn.Discard()
	}
}
