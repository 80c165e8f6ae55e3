package dataset

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// maxBatch is the size, in bytes, at which a group takes no further change. No
// single change is larger than maxChunk, so a group stays below the sum of both,
// which with Badger's own overhead fits the 2.4 MiB that it allows a transaction.
const maxBatch = 1 << 20

// A change is one wish of one caller.
type change struct {
	ctx   context.Context
	apply func(*batch) error // called by the committer, inside the transaction; perhaps again, in another one
	reads bool               // apply asks for more than positions
	done  chan error         // buffered; receives the outcome once it is on disk
}

// committer is the one goroutine that writes to the store. It gathers the
// changes that wait and commits them together, since a sync costs the same for
// one as for a hundred. A group is on disk, and its changes are answered, when it is
// in the journal. A goroutine of its own takes it from there to Badger, while the
// next group is gathered and written; whoever reads the store waits for it (arrived).
type committer struct {
	store    *Store
	queue    chan *change
	held     []*change // taken from the queue, each the first of a next group
	state    state     // as in the journal
	flight   *flight
	latest   atomic.Pointer[flight] // the last one whose changes were answered
	last     int                    // changes in the group before
	broken   error                  // set for good when it is unknown what reached the disk
	commits  atomic.Int64
	stopping sync.Once
	stopped  chan struct{}
}

// flight is a group on its way into Badger.
type flight struct {
	batch *batch
	after *badger.Txn   // sees what the store was before the group
	done  chan struct{} // closed when it has landed, or cannot
	err   error         // why it cannot; to be read behind done
}

func newCommitter(s *Store, st state) *committer {
	c := &committer{store: s, queue: make(chan *change, 64), state: st, stopped: make(chan struct{})}
	c.broken = s.readOnly
	go c.run()
	return c
}

// submit hands over a change that reads, and waits until it is on disk or refused.
// When ctx ends first, the change may or may not be made.
func (c *committer) submit(ctx context.Context, apply func(*batch) error) error {
	ch, err := c.hand(ctx, true, apply)
	if err != nil {
		return err
	}
	return ch.wait()
}

// hand hands over a change.
func (c *committer) hand(ctx context.Context, reads bool, apply func(*batch) error) (*change, error) {
	ch := &change{ctx, apply, reads, make(chan error, 1)}
	select {
	case c.queue <- ch:
		return ch, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// wait waits for the outcome.
func (ch *change) wait() error {
	select {
	case err := <-ch.done:
		return err
	case <-ch.ctx.Done():
		return ch.ctx.Err()
	}
}

// stop ends the committer, unless it has ended. Nobody may submit any more.
func (c *committer) stop() {
	c.stopping.Do(func() { close(c.queue) })
	<-c.stopped
}

func (c *committer) run() {
	defer close(c.stopped)
	for first := c.next(); first != nil; first = c.next() {
		c.commit(first)
	}
	c.settle()
}

// next returns the first change of the next group, or nil when there are no more.
func (c *committer) next() *change {
	if len(c.held) > 0 {
		ch := c.held[0]
		c.held = c.held[1:]
		return ch
	}
	return <-c.queue
}

// ready says whether a commit can be tried now.
func (c *committer) ready() error {
	if c.broken != nil {
		return c.broken
	}
	return c.store.checkSpace(diskUse.toWork)
}

// commit makes first and the changes that wait behind it durable.
func (c *committer) commit(first *change) {
	if f := c.flight; f != nil && (first.reads || f.landed() || f.after == nil) { // nil: its txn was used in vain
		c.settle()
	}
	if err := c.ready(); err != nil {
		first.done <- err
		return
	}
	b := c.begin()
	group, err := c.gather(b, first)
	if err != nil { // of the last one; the others are made again, without it
		last := len(group) - 1
		c.held, group = slices.Concat(group[:last], c.held), group[last:]
	}
	c.last = len(group)
	written := err == nil && b.state != c.state
	if written {
		err = c.record(b)
	}
	if written && err == nil {
		c.launch(b, group)
		return
	}
	b.txn.Discard()
	answer(group, err)
}

func answer(group []*change, err error) {
	for _, ch := range group {
		ch.done <- err
	}
}

// begin returns an empty batch behind what the journal has.
func (c *committer) begin() *batch {
	b := &batch{state: c.state}
	if f := c.flight; f != nil {
		b.txn, b.inFlight, f.after = f.after, f.batch, nil
	} else {
		b.txn = c.store.db.NewTransaction(true)
	}
	return b
}

// launch answers a group that is in the journal, and sends it on its way into Badger
// when the one before has landed.
func (c *committer) launch(b *batch, group []*change) {
	f := &flight{batch: b, done: make(chan struct{})}
	c.latest.Store(f)
	answer(group, nil)
	if c.settle(); c.broken != nil {
		b.txn.Discard()
		f.err = c.broken
		close(f.done)
		return
	}
	// Made before the commit begins: afterwards, making one waits for its end.
	f.after = c.store.db.NewTransaction(true)
	c.flight = f
	b.inFlight = nil
	go func() {
		f.err = c.land(b)
		close(f.done)
	}()
}

func (f *flight) landed() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// settle waits until no group is on its way.
func (c *committer) settle() {
	f := c.flight
	if f == nil {
		return
	}
	c.flight = nil
	if f.after != nil {
		f.after.Discard()
	}
	<-f.done
	f.batch = nil
	if f.err != nil && c.broken == nil {
		c.broken = fmt.Errorf("an earlier commit failed, the store must be opened anew: %w", f.err)
	}
}

// arrived waits until Badger has all that was answered before the call. Without it
// a caller might not find what it has just stored.
func (c *committer) arrived() error {
	f := c.latest.Load()
	if f == nil {
		return nil
	}
	if <-f.done; f.err != nil {
		return fmt.Errorf("what was stored last can be read when the store is opened anew: %w", f.err)
	}
	return nil
}

// gather applies first, and whatever waits behind it, to b. It returns the
// changes that took effect and answers the others. An error means that b is
// unusable, and is the outcome of the last of them.
func (c *committer) gather(b *batch, first *change) (group []*change, err error) {
	start := time.Now()
	for ch := first; ch != nil; ch = c.waiting(b, len(group) < c.last && time.Since(start) < maxWait) {
		before := b.state
		err := ch.ctx.Err()
		if err == nil {
			err = guard(func() error { return ch.apply(b) })
		}
		switch {
		case err == nil:
			group = append(group, ch)
		case b.state == before:
			ch.done <- err // refused before it wrote anything
		default:
			return append(group, ch), err
		}
	}
	return group, nil
}

// maxWait is how long a group may wait for those who were in the one before: about
// as long as they take to ask again, and a fraction of a sync.
const maxWait = 100 * time.Microsecond

// waiting returns the next change that can be in b, or nil if there is none. With
// patience it waits a moment for one.
func (c *committer) waiting(b *batch, patience bool) *change {
	if b.size >= maxBatch || len(c.held) > 0 {
		return nil
	}
	tries := 2
	if patience {
		tries = 50
	}
	for range tries {
		select {
		case ch := <-c.queue: // nil once the queue is closed and empty
			if ch != nil && ch.reads && b.inFlight != nil {
				c.held = []*change{ch}
				return nil
			}
			return ch
		default:
			// Callers that were just answered may be about to ask again.
			runtime.Gosched()
		}
	}
	return nil
}

// record puts b into the journal. What a crash leaves in the journal alone is made
// good when the store is opened.
func (c *committer) record(b *batch) error {
	if err := c.store.journal.Append(b.entries); err != nil {
		c.broken = c.store.journal.Broken()
		if errors.Is(err, syscall.ENOSPC) {
			err = fmt.Errorf("%w: %w", ErrNoSpace, err)
		}
		return err
	}
	c.state = b.state
	c.commits.Add(1)
	return nil
}

// land puts b into Badger.
func (c *committer) land(b *batch) error {
	defer b.txn.Discard()
	errs := c.store.log.mark()
	err := b.setState()
	if err == nil {
		err = guard(b.txn.Commit)
	}
	if err == nil {
		err = c.store.log.since(errs)
	}
	if err != nil {
		return err
	}
	c.store.sums.change(b.added, b.removed)
	return nil
}
