package ahead

import (
	"errors"
	"iter"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

var errBad, errRefused = errors.New("bad"), errors.New("refused")

// numbers yields n numbers, with errBad in the place of every 50th, and notes in ended
// that it is over.
func numbers(n int, ended *bool) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		defer func() { *ended = true }()
		for i := range n {
			var err error
			if i%50 == 49 {
				err = errBad
			}
			if !yield(i, err) {
				return
			}
		}
	}
}

// text refuses every 70th number.
func text(i int) (string, error) {
	if i%70 == 69 {
		return "", errRefused
	}
	return strconv.Itoa(i), nil
}

func sized(n int) func(int) int { return func(int) int { return n } }

func TestMap_keepsTheOrder(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, c := range []struct{ n, size int }{{0, 1}, {1, 1}, {groupItems, 1}, {1000, 1}, {60, groupSize / 3}, {5, 2 * groupSize}} {
		var ended bool
		i := 0
		for got, err := range Map(numbers(c.n, &ended), sized(c.size), text) {
			want, wantErr := text(i)
			if i%50 == 49 {
				want, wantErr = "", errBad
			}
			if got != want || !errors.Is(err, wantErr) {
				t.Fatalf("%d of %+v: %q, %v", i, c, got, err)
			}
			i++
		}
		if i != c.n || !ended {
			t.Errorf("%+v: %d items, ended: %t", c, i, ended)
		}
	}
}

func TestMap_endsWithTheLoop(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, stopAt := range []int{1, groupItems, groupItems + 1, 300} {
		var ended bool
		i := 0
		for range Map(numbers(100_000, &ended), sized(1), text) {
			if i++; i == stopAt {
				break
			}
		}
		if !ended {
			t.Errorf("broken off at %d, it reads on", stopAt)
		}
	}
}

func TestMap_endsWithAPanic(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var ended bool
	func() {
		defer func() { _ = recover() }()
		for range Map(numbers(100_000, &ended), sized(1), text) {
			panic("in the loop")
		}
	}()
	if !ended {
		t.Error("it reads on")
	}
}

// What waits is bounded: a slow loop does not make Map read everything.
func TestMap_readsNotFarAhead(t *testing.T) {
	var read atomic.Int64
	source := func(yield func(int, error) bool) {
		for i := range 100_000 {
			read.Add(1)
			if !yield(i, nil) {
				return
			}
		}
	}
	most := int64(0)
	i := int64(0)
	for range Map(source, sized(groupSize), text) { // each item is a group
		if i++; i > 100 {
			break
		}
		most = max(most, read.Load()-i)
	}
	if bound := int64(4*runtime.GOMAXPROCS(0) + 2); most > bound { // in order, at work, and in the hand of reader and loop
		t.Errorf("%d groups were read ahead, want at most %d", most, bound)
	}
}
