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
	digest   []byte
	payload  []byte
	stars    int
	rejected []string
}

// prepareAlone is how many examples are worth a goroutine of their own.
const prepareAlone = 32

// prepare checks and encodes examples, many of them on all CPUs. An error says
// which is the first one at fault.
func (s *Store) prepare(examples []Example) ([]item, error) {
	now := time.Now().UTC()
	items := make([]item, len(examples))
	size := max(prepareAlone, (len(examples)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	errs := make([]error, (len(examples)+size-1)/size)
	part := func(n int) {
		for i := n * size; i < min((n+1)*size, len(examples)); i++ {
			var err error
			if items[i], err = s.item(examples[i], now); err != nil {
				errs[n] = fmt.Errorf("example %d of %d: %w", i+1, len(examples), err)
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

func (s *Store) item(ex Example, now time.Time) (item, error) {
	if err := ex.Validate(); err != nil {
		return item{}, err
	}
	ex, digest := identify(ex)
	ex = s.policy.apply(ex)
	if ex.CreatedAt.IsZero() {
		ex.CreatedAt = now
	}
	payload, err := encodeExample(ex)
	if err != nil {
		return item{}, err
	}
	return item{digest, payload, ex.UserFeedback, ex.Rejected}, nil
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

// maxChunk is how many bytes of new examples are one change: a thousand of 1 KiB,
// so that these cost one commit. With maxBatch it is what one transaction may hold.
const maxChunk = maxBatch + maxBatch/4

// chunks cuts items so that each piece fits one transaction.
func chunks(items []item) iter.Seq[[]item] {
	return func(yield func([]item) bool) {
		size, start := 0, 0
		for i, it := range items {
			n := len(it.payload) + exampleOverhead
			if size+n > maxChunk && i > start {
				if !yield(items[start:i]) {
					return
				}
				size, start = 0, i
			}
			size += n
		}
		if start < len(items) {
			yield(items[start:])
		}
	}
}

// addNew adds those items that b does not have yet, and counts them. To those
// that it has, it adds the stars and rejected answers that they lack. It says how
// many items are done: not all, when such additions make b too large.
func (s *Store) addNew(b *batch, items []item) (added, done int, err error) {
	extended := false
	for i, it := range items {
		position, err := b.position(it.digest)
		if err != nil {
			return 0, 0, err
		}
		known := position != 0
		extends := known && (len(it.rejected) > 0 || it.stars > 0)
		if i > 0 && (extends || extended) && b.size >= maxBatch {
			return added, i, nil
		}
		switch {
		case extends:
			extended = true
			if err := s.extend(b, position, it); err != nil {
				return 0, 0, err
			}
		case !known:
			if err := b.add(it.digest, it.payload); err != nil {
				return 0, 0, err
			}
			added++
		}
	}
	return added, len(items), nil
}

// extend adds to the example at position what it has of stars and rejected answers.
func (s *Store) extend(b *batch, position uint64, it item) error {
	rec, err := readPosition(b.txn, position)
	if err != nil {
		return err
	}
	ex, err := rec.example()
	if err != nil {
		return err
	}
	before, stars := len(ex.Rejected), ex.UserFeedback
	ex.Rejected = union(ex.Rejected, it.rejected)
	if stars == 0 {
		stars = it.stars
	}
	if len(ex.Rejected) == before && ex.UserFeedback == stars {
		return nil
	}
	_, payload, err := s.starred(ex, stars)
	if err != nil {
		return err
	}
	return b.replace(rec, payload)
}

// union returns a with what of b it does not have.
func union(a, b []string) []string {
	for _, text := range b {
		if !slices.Contains(a, text) {
			a = append(a, text)
		}
	}
	return a
}
