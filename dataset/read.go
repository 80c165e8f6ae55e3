package dataset

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// view runs fn on a snapshot of the store. What Badger logs as an error
// meanwhile, and what it panics with over damaged files, is an error too.
func (s *Store) view(ctx context.Context, fn func(*badger.Txn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.arrived(); err != nil {
		return err
	}
	errs := s.log.mark()
	err := guard(func() error { return s.db.View(fn) })
	if err == nil {
		err = s.log.since(errs)
	}
	return err
}

// arrived waits until what was stored can be read.
func (s *Store) arrived() error {
	if s.committer == nil { // the store is being opened
		return nil
	}
	return s.committer.arrived()
}

// guard runs fn, which calls Badger but nothing of our callers.
func guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: badger panicked: %.200v", ErrDamaged, p)
		}
	}()
	return fn()
}

// find returns the one example whose ID is, or begins with, id.
func find(txn *badger.Txn, id string) (stored, error) {
	digits := strings.TrimPrefix(strings.ToLower(id), idPrefix)
	if digits == "" || strings.Trim(digits, "0123456789abcdef") != "" {
		return stored{}, ErrNotFound
	}
	whole, _ := hex.DecodeString(digits[:len(digits)&^1]) // checked above
	it := txn.NewIterator(badger.IteratorOptions{Prefix: indexKey(whole)})
	defer it.Close()
	var position uint64
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if !strings.HasPrefix(hex.EncodeToString(key[1:]), digits) {
			continue
		}
		if position != 0 {
			return stored{}, ErrAmbiguous
		}
		raw, err := it.Item().ValueCopy(nil)
		if err != nil {
			return stored{}, err
		}
		if position, err = decodeIndex(key, raw); err != nil {
			return stored{}, err
		}
	}
	if position == 0 {
		return stored{}, ErrNotFound
	}
	return readPosition(txn, position)
}

// snapshot is the store as it was at one moment.
type snapshot struct {
	txn   *badger.Txn
	state state
}

func (s *Store) snapshot() (*snapshot, error) {
	if err := s.arrived(); err != nil {
		return nil, err
	}
	sn := &snapshot{txn: s.db.NewTransaction(false)}
	err := guard(func() (err error) {
		sn.state, err = readState(sn.txn)
		return err
	})
	if err != nil {
		sn.close()
		return nil, err
	}
	return sn, nil
}

func (sn *snapshot) close() { sn.txn.Discard() }

// examples yields all examples by position, and skips what is gone. A damaged or
// missing one is an error in its place; only ctx and a failure of Badger end the
// sequence.
func (sn *snapshot) examples(ctx context.Context) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		for rec, err := range sn.positions(ctx) {
			if err == nil && rec.isGone() {
				continue
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// positions yields what is at each position, gone or not.
func (sn *snapshot) positions(ctx context.Context) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		next := uint64(1) // position that is due
		for e, err := range sn.entries(ctx, examplePrefix) {
			if err != nil {
				yield(stored{}, err)
				return
			}
			position, ok := e.position()
			if !ok || position < next || position > sn.state.Positions {
				if !yield(stored{}, fmt.Errorf("%s: %w: it does not belong there", keyName(e.key), ErrDamaged)) {
					return
				}
				continue
			}
			if position > next && !yield(stored{}, missing(next, position-1)) {
				return
			}
			next = position + 1
			change, payload, err := decodeRecord(e.key, e.raw)
			if !yield(stored{position, change, payload}, err) {
				return
			}
		}
		if next <= sn.state.Positions {
			yield(stored{}, missing(next, sn.state.Positions))
		}
	}
}

func missing(first, last uint64) error {
	if first == last {
		return fmt.Errorf("example %d: %w: it is missing", first, ErrDamaged)
	}
	return fmt.Errorf("examples %d to %d: %w: they are missing", first, last, ErrDamaged)
}

// entry is a key with a copy of its undecoded record.
type entry struct{ key, raw []byte }

// position returns where the example of e stands, if e is an example.
func (e entry) position() (uint64, bool) {
	if len(e.key) != len(exampleKey(0)) || e.key[0] != examplePrefix {
		return 0, false
	}
	return binary.BigEndian.Uint64(e.key[1:]), true
}

// entries yields all entries with a prefix, in order of their keys. An error is
// the last thing yielded.
func (sn *snapshot) entries(ctx context.Context, prefix byte) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		it := sn.txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefix}})
		defer it.Close()
		for move := it.Rewind; ; move = it.Next {
			err := ctx.Err()
			var e entry
			if err == nil {
				err = guard(func() (err error) {
					e, err = step(it, move)
					return err
				})
			}
			if err == nil && e.key == nil {
				return
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// step moves it, and returns where it came to: the zero entry at the end.
func step(it *badger.Iterator, move func()) (entry, error) {
	move()
	if !it.Valid() {
		return entry{}, nil
	}
	raw, err := it.Item().ValueCopy(nil)
	return entry{it.Item().KeyCopy(nil), raw}, err
}
