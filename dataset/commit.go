package dataset

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"

	"github.com/dgraph-io/badger/v4"

	"retort/dataset/journal"
)

// maxBatch is the size, in bytes, at which a group takes no further change. No
// single change is larger than maxChunk, so a group stays below the sum of both,
// which with Badger's own overhead fits the 2.4 MiB that it allows a transaction.
const maxBatch = 1 << 20

// A change is one wish of one caller.
type change struct {
	ctx   context.Context
	apply func(*batch) error // called by the committer, inside the transaction
	done  chan error         // buffered; receives the outcome once it is on disk
}

// committer is the one goroutine that writes to the store. It gathers the
// changes that wait and commits them together, since a sync costs the same for
// one as for a hundred.
type committer struct {
	store   *Store
	queue   chan *change
	state   state // as committed
	broken  error // set for good when it is unknown what reached the disk
	commits atomic.Int64
	stopped chan struct{}
}

func newCommitter(s *Store, st state) *committer {
	c := &committer{store: s, queue: make(chan *change, 64), state: st, stopped: make(chan struct{})}
	c.broken = s.readOnly
	go c.run()
	return c
}

// submit hands over a change and waits until it is on disk or refused. When ctx
// ends first, the change may or may not be made.
func (c *committer) submit(ctx context.Context, apply func(*batch) error) error {
	ch := &change{ctx, apply, make(chan error, 1)}
	select {
	case c.queue <- ch:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-ch.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the committer. Nobody may submit any more.
func (c *committer) stop() {
	close(c.queue)
	<-c.stopped
}

func (c *committer) run() {
	defer close(c.stopped)
	for first := range c.queue {
		if err := c.ready(); err != nil {
			first.done <- err
			continue
		}
		c.commit(first)
	}
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
	txn := c.store.db.NewTransaction(true)
	defer txn.Discard()
	b := &batch{txn: txn, state: c.state}
	group, err := c.gather(b, first)
	if err == nil && b.state != c.state {
		err = c.flush(b)
	}
	for _, ch := range group {
		ch.done <- err
	}
}

// gather applies first, and whatever waits behind it, to b. It returns the
// changes that took effect and answers the others. An error means that b is
// unusable, and is the outcome of the whole group.
func (c *committer) gather(b *batch, first *change) (group []*change, err error) {
	for ch := first; ch != nil; ch = c.waiting(b) {
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

// waiting returns the next change without waiting for one, or nil.
func (c *committer) waiting(b *batch) *change {
	if b.size >= maxBatch {
		return nil
	}
	for range 2 {
		select {
		case ch := <-c.queue: // nil once the queue is closed and empty
			return ch
		default:
			// Callers that were just answered may be about to ask again.
			runtime.Gosched()
		}
	}
	return nil
}

// flush puts b on disk: first into the journal, then into Badger. What a crash
// leaves in the journal alone is made good when the store is opened.
func (c *committer) flush(b *batch) error {
	if err := c.store.journal.Append(b.entries); err != nil {
		c.broken = c.store.journal.Broken()
		if errors.Is(err, syscall.ENOSPC) {
			err = fmt.Errorf("%w: %w", ErrNoSpace, err)
		}
		return err
	}
	errs := c.store.log.mark()
	err := b.setState()
	if err == nil {
		err = b.txn.Commit()
	}
	if err == nil {
		err = c.store.log.since(errs)
	}
	if err != nil {
		// After a failed sync nobody knows what is on disk, and a second sync
		// may report success for pages that the kernel has dropped.
		c.broken = fmt.Errorf("an earlier commit failed, the store must be opened anew: %w", err)
		return err
	}
	c.state = b.state
	c.commits.Add(1)
	return nil
}

// batch collects the changes of one group.
type batch struct {
	txn     *badger.Txn
	state   state           // as it will be
	size    int             // bytes, about
	entries []journal.Entry // the changes, in order
}

// position returns where the example with this digest is stored, or will be; 0
// is nowhere.
func (b *batch) position(digest []byte) (uint64, error) {
	key := indexKey(digest)
	raw, err := readRaw(b.txn, key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return decodeIndex(key, raw)
}

// add stores a new example, already encoded.
func (b *batch) add(digest, payload []byte) error {
	b.state.Positions++
	key, raw := indexRecord(digest, b.state.Positions)
	if err := b.txn.Set(key, raw); err != nil {
		return err
	}
	return b.set(b.state.Positions, payload)
}

// replace stores a new version of an example that is there already.
func (b *batch) replace(old stored, payload []byte) error {
	b.state.Sum -= old.change
	return b.set(old.position, payload)
}

// set writes what is at a position as the next change.
func (b *batch) set(position uint64, payload []byte) error {
	key := exampleKey(position)
	if err := b.write(key, position, payload); err != nil {
		return err
	}
	b.state.Sum += b.state.Changes
	return nil
}

// write writes a record as the next change. Position is 0 for what is no example.
func (b *batch) write(key []byte, position uint64, payload []byte) error {
	b.state.Changes++
	b.size += len(payload) + exampleOverhead
	b.entries = append(b.entries, journal.Entry{Change: b.state.Changes, Position: position, Data: payload})
	return b.txn.Set(key, encodeRecord(key, b.state.Changes, payload))
}

func (b *batch) setState() error {
	return b.txn.Set(stateKey, encodeRecord(stateKey, b.state.Changes, b.state.encode()))
}

// indexRecord is the entry that leads from an ID to a position.
func indexRecord(digest []byte, position uint64) (key, raw []byte) {
	key = indexKey(digest)
	return key, encodeRecord(key, position, binary.BigEndian.AppendUint64(nil, position))
}

// exampleOverhead is about what an example takes beside its payload: two keys,
// two frames, and Badger's own.
const exampleOverhead = 160
