package dataset

import (
	"iter"
	"runtime"
	"sync"

	// What encoding/json is from Go 1.27 on: the same results, a third of the time.
	json "github.com/go-json-experiment/json/v1"
)

// decodeExample reads what encodeExample wrote.
func decodeExample(payload []byte) (ex Example, err error) {
	err = json.Unmarshal(payload, &ex)
	return ex, err
}

// A group is what one goroutine decodes at a time: enough records to be worth the
// handing over, and few enough bytes that groups wait in little memory.
type group[T any] struct {
	records []stored
	values  []T
	errs    []error // in the place of records and values
	size    int
	done    chan struct{}
}

const (
	groupRecords = 64
	groupSize    = 256 << 10 // bytes
)

// add puts a record, or the error in its place, into g.
func (g *group[T]) add(rec stored, err error) {
	g.records, g.errs = append(g.records, rec), append(g.errs, err)
	g.size += len(rec.payload)
}

func (g *group[T]) full() bool { return len(g.records) >= groupRecords || g.size >= groupSize }

func (g *group[T]) decode(one func(stored) (T, error)) {
	g.values = make([]T, len(g.records))
	for i, rec := range g.records {
		if g.errs[i] == nil {
			g.values[i], g.errs[i] = one(rec)
		}
	}
	g.records = nil
	close(g.done)
}

// decoded yields what one makes of records, in their order. They are read and decoded
// ahead, on all CPUs; when the sequence ends, so has that.
func decoded[T any](records iter.Seq2[stored, error], one func(stored) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		workers := runtime.GOMAXPROCS(0)
		stop, work, order := make(chan struct{}), make(chan *group[T]), make(chan *group[T], 2*workers)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer close(stop)
		for range workers {
			wg.Go(func() {
				for g := range work {
					g.decode(one)
				}
			})
		}
		wg.Go(func() {
			defer close(order)
			defer close(work)
			readAhead(records, func(g *group[T]) bool {
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
			for i, value := range g.values {
				if !yield(value, g.errs[i]) {
					return
				}
			}
		}
	}
}

// readAhead gives records, in groups, to send until that returns false.
func readAhead[T any](records iter.Seq2[stored, error], send func(*group[T]) bool) {
	g := &group[T]{done: make(chan struct{})}
	for rec, err := range records {
		g.add(rec, err)
		if !g.full() {
			continue
		}
		if !send(g) {
			return
		}
		g = &group[T]{done: make(chan struct{})}
	}
	if len(g.records) > 0 {
		send(g)
	}
}
