package dataset

import (
	"context"
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

// putting hands the chunks of one Put to the committer, two of them at a time: one
// is committed while the next one is gathered.
type putting struct {
	store  *Store
	ctx    context.Context
	handed []*handedChunk
	stored int
}

// put commits items, those of large chunks while the next ones are prepared. Items
// that may add to examples can turn out too many for one group; so that all stay in
// order, nothing else of this Put is handed over meanwhile.
func (p *putting) put(items []item) error {
	if !slices.ContainsFunc(items, item.extends) {
		return p.hand(items)
	}
	if err := p.finish(); err != nil {
		return err
	}
	if err := p.hand(items); err != nil {
		return err
	}
	return p.finish()
}

// handedChunk is a chunk whose outcome is not known yet.
type handedChunk struct {
	change *change
	items  []item
	added  int
	done   int
}

func (p *putting) hand(items []item) error {
	if len(p.handed) == 2 {
		if err := p.next(); err != nil {
			return err
		}
	}
	h := &handedChunk{items: items}
	size := 0
	for _, it := range items {
		size += len(it.payload) + exampleOverhead
	}
	var err error
	h.change, err = p.store.committer.hand(p.ctx, size, func(b *batch) (err error) {
		h.added, h.done, err = p.store.addNew(b, h.items)
		return err
	})
	if err == nil {
		p.handed = append(p.handed, h)
	}
	return err
}

// next waits for the oldest chunk, and hands over what of it is not done.
func (p *putting) next() error {
	h := p.handed[0]
	p.handed = p.handed[1:]
	if err := h.change.wait(); err != nil {
		return err
	}
	p.stored += h.added
	if h.done < len(h.items) {
		return p.hand(h.items[h.done:])
	}
	return nil
}

// finish waits for all chunks.
func (p *putting) finish() error {
	var first error
	for len(p.handed) > 0 {
		if err := p.next(); err != nil && first == nil {
			first = err
		}
	}
	return first
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
		extends := known && it.extends()
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
			if err := b.add(it.digest, it.example, it.payload); err != nil {
				return 0, 0, err
			}
			added++
		}
	}
	return added, len(items), nil
}

// extend adds to the example at position what it has of stars and rejected answers.
func (s *Store) extend(b *batch, position uint64, it item) error {
	if b.inFlight != nil {
		return errInFlight
	}
	rec, err := readPosition(b.txn, position)
	if err != nil {
		return err
	}
	ex, err := rec.example()
	if err != nil {
		return err
	}
	before, stars := ex, ex.UserFeedback
	ex.Rejected = union(ex.Rejected, it.example.Rejected)
	if stars == 0 {
		stars = it.example.UserFeedback
	}
	if len(ex.Rejected) == len(before.Rejected) && ex.UserFeedback == stars {
		return nil
	}
	after, payload, err := s.starred(ex, stars)
	if err != nil {
		return err
	}
	return b.replace(rec, before, after, payload)
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
