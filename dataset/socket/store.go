package socket

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"retort/dataset"
)

// patience is how long a call waits for somebody to hold and serve the store: it
// covers the grace of a holder that ends, and most stores that are verified
// because the last holder was killed.
const patience = 10 * time.Second

// Methods are what may be done with a store, whether this process holds it or
// another one does: those of dataset.Store, but for Close.
type Methods interface {
	Get(ctx context.Context, id string) (dataset.Example, error)
	All(ctx context.Context, f dataset.Filter) iter.Seq2[dataset.Example, error]
	Put(ctx context.Context, examples ...dataset.Example) (stored int, err error)
	Rate(ctx context.Context, id string, stars int) (dataset.Example, error)
	Prefer(ctx context.Context, p dataset.Preference) (worse, better dataset.Example, err error)
	Stats(ctx context.Context) (dataset.Stats, error)
	PutQueries(ctx context.Context, queries ...dataset.Query) error
	Queries(ctx context.Context) iter.Seq2[dataset.Query, error]
	Verify(ctx context.Context) (dataset.Report, error)
	Forget(ctx context.Context, ids ...string) (n int, err error)
	Backup(ctx context.Context, path string) (dataset.BackupReport, error)
}

// holder is what holds a store, or reaches the process that does.
type holder interface {
	Methods
	Close() error
}

// Store is a store of examples that this process holds and serves to others, or
// reaches through the process that does. It changes from the one to the other by
// itself. Its methods are those of dataset.Store and may be called from several
// goroutines.
type Store struct {
	dir      string
	opts     dataset.Options
	patience time.Duration
	closing  sync.Mutex // held while Close works

	mu     sync.Mutex // guards what follows, and is held while the holder changes, which it does not once closed
	holder holder
	server *Server // nil if another process holds the store, or nobody can be served
	closed bool
}

// Open opens the store in dir, as dataset.Open does, and serves it to other
// processes until Close; where it cannot be served, it is held all the same.
// Where another process holds it, Open reaches that one, and opts are the other's. The
// error wraps dataset.ErrBusy where that process does not answer within ten
// seconds or is of another version (ErrProtocol too).
func Open(ctx context.Context, dir string, opts dataset.Options) (*Store, error) {
	s := &Store{dir: dir, opts: opts, patience: patience}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.take(ctx, time.Now().Add(s.patience)); err != nil {
		return nil, err
	}
	return s, nil
}

// take makes this process the holder, or finds the one that is.
func (s *Store) take(ctx context.Context, deadline time.Time) error {
	for wait := firstWait; ; wait = longer(wait) {
		held, busy := dataset.Open(s.dir, s.opts)
		if busy == nil {
			s.holder = held
			s.server, _ = Serve(held, Path(s.dir)) // without it others wait, as they must where there are no sockets
			return nil
		}
		if !errors.Is(busy, dataset.ErrBusy) {
			return busy
		}
		client, err := Dial(ctx, Path(s.dir))
		switch {
		case err == nil:
			s.holder = client
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("open store %q: %w", s.dir, ctx.Err())
		case errors.Is(err, ErrProtocol):
			return fmt.Errorf("%w: %w", busy, err)
		case time.Now().After(deadline):
			return busy
		}
		pause(ctx, wait)
	}
}

// current returns the holder. Where that is still the one that failed, it looks
// for another first.
func (s *Store) current(ctx context.Context, failed holder, deadline time.Time) (holder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.holder != failed {
		return s.holder, nil // a closed one says so itself
	}
	if err := s.take(ctx, deadline); err != nil {
		return nil, err // the failed one stays, so that the next call tries anew
	}
	_ = failed.Close() // lets go of connections alone
	return s.holder, nil
}

// do makes a call, and makes it again with the next holder while again allows it
// for the error. It gives up after patience without success.
func (s *Store) do(ctx context.Context, again func(error) bool, call func(holder) error) error {
	h, err := s.current(ctx, nil, time.Time{})
	var deadline time.Time
	for wait := firstWait; err == nil; wait = longer(wait) {
		began := time.Now()
		err = call(h)
		now := time.Now()
		if deadline.IsZero() || now.Sub(began) > s.patience { // it went on well for long
			deadline, wait = now.Add(s.patience), firstWait
		}
		if !again(err) || now.After(deadline) {
			return err
		}
		pause(ctx, wait) // a holder may be there that fails each time
		h, err = s.current(ctx, h, deadline)
	}
	return err
}

// firstWait is how long a try waits for what has failed a moment ago.
const firstWait = 2 * time.Millisecond

func longer(wait time.Duration) time.Duration { return min(2*wait, 200*time.Millisecond) }

// pause waits about that long, apart from others who wait for the same, or until
// ctx ends.
func pause(ctx context.Context, wait time.Duration) {
	select {
	case <-time.After(wait/2 + rand.N(wait)):
	case <-ctx.Done():
	}
}

// notTaken allows a call again that certainly changed nothing.
func notTaken(err error) bool { return errors.Is(err, ErrUnreachable) }

// unanswered allows a call again of which twice is once.
func unanswered(err error) bool { return errors.Is(err, ErrUnreachable) || errors.Is(err, ErrLost) }

// Held reports whether this process holds the store itself, at the moment.
func (s *Store) Held() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, held := s.holder.(*dataset.Store)
	return held
}

// Close lets other processes have the store: it waits a few seconds for what
// they are being answered, and for the calls in progress here.
func (s *Store) Close() error {
	s.closing.Lock() // who closes it again waits too
	defer s.closing.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock() // for calls that are made in the middle of one that is waited for
	if closed {
		return nil
	}
	if s.server != nil {
		_ = s.server.Close() // what was answered is on disk: nothing can be lost
	}
	return s.holder.Close()
}
