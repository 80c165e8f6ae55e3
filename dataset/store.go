package dataset

import (
	"context"
	"fmt"
	"iter"
	"os"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"retort/dataset/journal"
)

// Options say how to open a store. The zero value is right for most.
type Options struct {
	// Policy scores what is stored and rated. Zero is DefaultPolicy.
	Policy Policy

	free func(dir string) (uint64, error) // bytes; files.FreeSpace, but for tests
}

// Store keeps examples. Its methods may be called from several goroutines.
type Store struct {
	dir       string
	policy    Policy
	free      func(dir string) (uint64, error)
	lock      *os.File
	db        *badger.DB
	log       *badgerLog
	journal   *journal.Journal // nil when read-only
	committer *committer
	sums      sums
	forgot    atomic.Bool       // Forget was called
	seal      map[string]string // lines of the seal by file, when the store was opened
	readOnly  error             // why nothing can be written, or nil
	backups   sync.Mutex        // one at a time: two would add to one file

	mu     sync.Mutex // guards closed, and adding to calls
	closed bool
	calls  sync.WaitGroup
}

// enter counts a call in, so that Close waits for it: Badger must not be closed
// under a reader.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.calls.Add(1)
	return nil
}

func (s *Store) leave() { s.calls.Done() }

// Get returns the example with the given ID, or whose ID is the only one that
// begins so. "sha256:" may be left out. The error wraps ErrNotFound or
// ErrAmbiguous where that is the cause.
func (s *Store) Get(ctx context.Context, id string) (Example, error) {
	var ex Example
	err := s.view(ctx, func(txn *badger.Txn) error {
		rec, err := find(txn, id)
		if err == nil {
			ex, err = rec.example()
		}
		return err
	})
	if err != nil {
		return Example{}, fmt.Errorf("get example %q: %w", id, err)
	}
	return ex, nil
}

// All yields the examples that f chooses, oldest first, as they were when the
// range began. A damaged or missing example is an error in its place, which
// does not end the sequence; only ctx does. The loop must not call Close.
func (s *Store) All(ctx context.Context, f Filter) iter.Seq2[Example, error] {
	return func(yield func(Example, error) bool) {
		found := 0
		for ex, err := range decoded(s.scan(ctx), stored.example) {
			if err != nil {
				if !yield(Example{}, fmt.Errorf("read examples: %w", err)) {
					return
				}
				continue
			}
			if !f.match(ex) {
				continue
			}
			found++
			if !yield(ex, nil) || found == f.Limit {
				return
			}
		}
	}
}

// scan yields the examples of a snapshot, and last what Badger logged as an
// error meanwhile.
func (s *Store) scan(ctx context.Context) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		if err := s.enter(); err != nil {
			yield(stored{}, err)
			return
		}
		defer s.leave()
		s.scanWithin(ctx)(yield)
	}
}

// scanWithin is scan for a call that has entered: Close may have begun since.
func (s *Store) scanWithin(ctx context.Context) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		errs := s.log.mark()
		sn, err := s.snapshot()
		if err != nil {
			yield(stored{}, err)
			return
		}
		defer sn.close()
		for rec, err := range sn.examples(ctx) {
			if !yield(rec, err) {
				return
			}
		}
		if err := s.log.since(errs); err != nil {
			yield(stored{}, err)
		}
	}
}

// Put stores examples and returns how many of them were new, once they are on
// disk. It gives each its ID, its Split, its score by the store's Policy and,
// where it has none, the present time; what is stored already stays as it is,
// but gets the stars and Rejected answers that it lacks. Whether an example is
// worth keeping is for the caller to ask Policy.Judge.
//
// New examples that together take less than a MiB are stored all or none. When ctx
// ends early they may be stored all the same.
func (s *Store) Put(ctx context.Context, examples ...Example) (stored int, err error) {
	if err := s.enter(); err != nil {
		return 0, fmt.Errorf("put: %w", err)
	}
	defer s.leave()
	p := putting{store: s, ctx: ctx}
	for chunk, err := range s.chunks(examples) {
		if err == nil {
			err = p.put(chunk)
		}
		if err != nil {
			_ = p.finish() // the first error is the one that counts
			return p.stored, fmt.Errorf("put: %w", err)
		}
	}
	if err := p.finish(); err != nil {
		return p.stored, fmt.Errorf("put: %w", err)
	}
	return p.stored, nil
}

// Rate sets the user's stars, 1 to 5, on the example that Get would return for
// id, and scores it anew. Rating again replaces the stars.
func (s *Store) Rate(ctx context.Context, id string, stars int) (Example, error) {
	ex, err := s.rate(ctx, id, stars)
	if err != nil {
		return Example{}, fmt.Errorf("rate example %q: %w", id, err)
	}
	return ex, nil
}

func (s *Store) rate(ctx context.Context, id string, stars int) (Example, error) {
	if stars < 1 || stars > 5 {
		return Example{}, fmt.Errorf("%w: %d stars, want 1 to 5", ErrInvalid, stars)
	}
	if err := s.enter(); err != nil {
		return Example{}, err
	}
	defer s.leave()
	var rated Example
	err := s.committer.submit(ctx, func(b *batch) error {
		rec, err := find(b.txn, id)
		if err != nil {
			return err
		}
		ex, err := rec.example()
		if err != nil {
			return err
		}
		var payload []byte
		rated, payload, err = s.starred(ex, stars)
		if err != nil {
			return err
		}
		return b.replace(rec, ex, rated, payload)
	})
	if err != nil {
		return Example{}, err // rated may still be written to, if it was ctx that ended
	}
	return rated, nil
}

// starred returns ex with the user's stars, scored anew, and its encoding.
func (s *Store) starred(ex Example, stars int) (Example, []byte, error) {
	ex.UserFeedback = stars
	ex = s.policy.apply(ex)
	payload, err := encodeExample(ex)
	return ex, payload, err
}
