package dataset

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"

	"retort/dataset/journal"
)

const (
	journalDir = "journal"

	// unfinished is added to the name of a folder that is being written.
	unfinished = ".tmp"
)

// journalEntries yields the snapshot's records with change numbers above since:
// first the examples by position, then the queries. Damage ends the sequence.
func (sn *snapshot) journalEntries(ctx context.Context, since uint64) iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		for rec, err := range sn.positions(ctx) {
			if err == nil && rec.change <= since {
				continue
			}
			if !yield(journal.Entry{Change: rec.change, Position: rec.position, Data: rec.payload}, err) || err != nil {
				return
			}
		}
		for e, err := range sn.entries(ctx, queryPrefix) {
			var change uint64
			var payload []byte
			if err == nil {
				change, payload, err = decodeRecord(e.key, e.raw)
			}
			if err == nil && change <= since {
				continue
			}
			if !yield(journal.Entry{Change: change, Data: payload}, err) || err != nil {
				return
			}
		}
	}
}

// catchUp brings into Badger what only the journal has: a crash came between the
// two, or Badger has cut off a damaged end of its log.
func (s *Store) catchUp(found state) (state, error) {
	b := s.newBatch(found)
	for e, err := range journal.ReadSince(context.Background(), filepath.Join(s.dir, journalDir), found.Changes) {
		if err == nil {
			err = guard(func() error { return b.replay(e) })
		}
		if err == nil && b.size >= maxBatch {
			if err = s.commitReplayed(b); err == nil {
				b = s.newBatch(b.state)
			}
		}
		if err != nil {
			b.txn.Discard()
			return found, asDamage(err)
		}
	}
	return b.state, s.commitReplayed(b)
}

func (s *Store) newBatch(st state) *batch {
	return &batch{txn: s.db.NewTransaction(true), state: st}
}

func (s *Store) commitReplayed(b *batch) error {
	defer b.txn.Discard()
	return guard(func() error {
		if err := b.setState(); err != nil {
			return err
		}
		return b.txn.Commit()
	})
}

// replay makes a change that the journal has. Numbers may be left out: those of
// versions that were superseded before the journal was last written anew.
func (b *batch) replay(e journal.Entry) error {
	b.state.Changes = e.Change - 1
	if e.Position == 0 {
		return b.log([]item{{payload: e.Data}})
	}
	old, err := readPosition(b.txn, e.Position)
	isNew := e.Position > b.state.Positions
	switch {
	case isNew && isGone(e.Data):
		b.state.Gone++
	case isNew:
		if err := b.addIndex(e); err != nil {
			return err
		}
	case err != nil:
		return err
	case isGone(e.Data) && !old.isGone():
		ex, err := old.example()
		if err != nil {
			return err
		}
		return b.remove(old, ex, forgotten)
	default:
		return b.supersede(old, e.Data)
	}
	b.state.Positions = e.Position
	return b.set(e.Position, e.Data)
}

// addIndex writes the index entry of an example.
func (b *batch) addIndex(e journal.Entry) error {
	ex, err := stored{e.Position, e.Change, e.Data}.example()
	if err != nil {
		return err
	}
	key, raw := indexRecord(identity(ex), e.Position)
	return b.txn.Set(key, raw)
}

// asDamage makes damage of the journal damage of the store.
func asDamage(err error) error {
	if errors.Is(err, journal.ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// foundState returns the state that Badger has.
func (s *Store) foundState() (state, error) {
	var found state
	err := s.view(context.Background(), func(txn *badger.Txn) (err error) {
		found, err = readState(txn)
		return err
	})
	return found, err
}
