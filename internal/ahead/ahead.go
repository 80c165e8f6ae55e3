// Package ahead works on what a sequence yields before it is asked for, on all CPUs.
package ahead

import (
	"iter"
	"runtime"
	"sync"
)

// A group is what one goroutine works on at a time: enough items to be worth the
// handing over, and few enough bytes that groups wait in little memory.
type group[In, Out any] struct {
	in   []In
	out  []Out
	errs []error // in the place of in and out
	size int
	done chan struct{}
}

const (
	groupItems = 64
	groupSize  = 256 << 10 // bytes
)

// Map yields what do makes of the items of in, in their order, and an error of in in
// its place. size says about how many bytes an item takes. Several goroutines call do;
// the loop's own ranges over in, ahead. When the sequence ends, all of them have.
func Map[In, Out any](in iter.Seq2[In, error], size func(In) int, do func(In) (Out, error)) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		workers := runtime.GOMAXPROCS(0)
		stop, work, order := make(chan struct{}), make(chan *group[In, Out]), make(chan *group[In, Out], 2*workers)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer close(stop)
		for range workers {
			wg.Go(func() {
				for g := range work {
					g.work(do)
				}
			})
		}
		wg.Go(func() {
			defer close(order)
			defer close(work)
			collect(in, size, func(g *group[In, Out]) bool {
				select {
				case order <- g:
				case <-stop:
					return false
				}
				work <- g // the workers take all that is in order
				return true
			})
		})
		for g := range order {
			<-g.done
			for i, value := range g.out {
				if !yield(value, g.errs[i]) {
					return
				}
			}
		}
	}
}

// collect gives items, in groups, to send until that returns false.
func collect[In, Out any](in iter.Seq2[In, error], size func(In) int, send func(*group[In, Out]) bool) {
	g := &group[In, Out]{done: make(chan struct{})}
	for item, err := range in {
		g.in, g.errs = append(g.in, item), append(g.errs, err)
		if g.size += size(item); len(g.in) < groupItems && g.size < groupSize {
			continue
		}
		if !send(g) {
			return
		}
		g = &group[In, Out]{done: make(chan struct{})}
	}
	if len(g.in) > 0 {
		send(g)
	}
}

func (g *group[In, Out]) work(do func(In) (Out, error)) {
	g.out = make([]Out, len(g.in))
	for i, item := range g.in {
		if g.errs[i] == nil {
			g.out[i], g.errs[i] = do(item)
		}
	}
	g.in = nil
	close(g.done)
}
