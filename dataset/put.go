package dataset

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

// MaxExampleSize is how many bytes of JSON an example may take. It keeps values
// within Badger's tables: Badger moves larger ones into files of another kind,
// which it guards and reclaims less well.
const MaxExampleSize = 1<<20 - 1<<10

// item is a new example, ready to be stored.
type item struct {
	digest  []byte
	example Example
	payload []byte
}

// extends reports whether it has what an example that is there may lack.
func (it item) extends() bool { return len(it.example.Rejected) > 0 || it.example.UserFeedback > 0 }

const (
	// prepareAlone is how many examples are worth a goroutine of their own.
	prepareAlone = 32

	// prepareAhead is how many examples are prepared at a time, while those before
	// are committed: more than a MiB of them in any case, since less is one chunk.
	prepareAhead = 4096
)

// chunks yields the examples as items, in pieces that fit one transaction. All are
// checked before the first is yielded; an error says which one is at fault.
func (s *Store) chunks(examples []Example) iter.Seq2[[]item, error] {
	return func(yield func([]item, error) bool) {
		for i, ex := range examples {
			if err := ex.Validate(); err != nil {
				yield(nil, atFault(i, examples, err))
				return
			}
		}
		now := time.Now().UTC()
		for start := 0; start < len(examples); start += prepareAhead {
			items, err := s.prepare(examples, start, min(start+prepareAhead, len(examples)), now)
			if err != nil {
				yield(nil, err)
				return
			}
			for chunk := range chunks(items) {
				if !yield(chunk, nil) {
					return
				}
			}
		}
	}
}

func atFault(i int, examples []Example, err error) error {
	return fmt.Errorf("example %d of %d: %w", i+1, len(examples), err)
}

// prepare encodes examples[start:end], many of them on all CPUs.
func (s *Store) prepare(examples []Example, start, end int, now time.Time) ([]item, error) {
	items := make([]item, end-start)
	size := max(prepareAlone, (len(items)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	errs := make([]error, (len(items)+size-1)/size)
	part := func(n int) {
		for i := n * size; i < min((n+1)*size, len(items)); i++ {
			var err error
			if items[i], err = s.item(examples[start+i], now); err != nil {
				errs[n] = atFault(start+i, examples, err)
				return
			}
		}
	}
	var wg sync.WaitGroup
	for n := 1; n < len(errs); n++ {
		wg.Go(func() { part(n) })
	}
	if len(errs) > 0 {
		part(0)
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return items, nil
}

// item encodes a valid example.
func (s *Store) item(ex Example, now time.Time) (item, error) {
	ex, digest := identify(ex)
	ex = s.policy.apply(ex)
	if ex.CreatedAt.IsZero() {
		ex.CreatedAt = now
	}
	payload, err := encodeExample(ex)
	if err != nil {
		return item{}, err
	}
	ex.Source.Models = slices.Clone(ex.Source.Models) // the sums ask for them when the caller has gone on
	return item{digest, ex, payload}, nil
}

// Validate refuses, with an error that wraps ErrInvalid, what could not be read
// back as it is, or trained on.
func (ex Example) Validate() error {
	if len(ex.Messages) == 0 {
		return fmt.Errorf("%w: it has no messages", ErrInvalid)
	}
	for i, m := range ex.Messages {
		if !m.Role.Valid() {
			return fmt.Errorf("%w: message %d has the unknown role %q", ErrInvalid, i+1, m.Role)
		}
		if !utf8.ValidString(m.Content) {
			return fmt.Errorf("%w: message %d is not UTF-8", ErrInvalid, i+1)
		}
	}
	if ex.Response == "" {
		return fmt.Errorf("%w: it has no response", ErrInvalid)
	}
	if !utf8.ValidString(ex.Response) {
		return fmt.Errorf("%w: its response is not UTF-8", ErrInvalid)
	}
	for i, text := range ex.Rejected {
		if text == "" || text == ex.Response || !utf8.ValidString(text) {
			return fmt.Errorf("%w: its rejected answer %d is empty, the response, or not UTF-8", ErrInvalid, i+1)
		}
	}
	if !isQuality(ex.QualityScore) || ex.BaseQuality != nil && !isQuality(*ex.BaseQuality) {
		return fmt.Errorf("%w: its quality is not between 0 and 1", ErrInvalid)
	}
	if ex.UserFeedback < 0 || ex.UserFeedback > 5 {
		return fmt.Errorf("%w: %d stars, want 1 to 5, or 0 for none", ErrInvalid, ex.UserFeedback)
	}
	return nil
}

func isQuality(q float64) bool { return !math.IsNaN(q) && q >= 0 && q <= 1 }

func encodeExample(ex Example) ([]byte, error) {
	payload, err := json.Marshal(ex)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(payload) > MaxExampleSize {
		return nil, fmt.Errorf("%w: it takes %d bytes, the limit is %d", ErrInvalid, len(payload), MaxExampleSize)
	}
	return payload, nil
}
