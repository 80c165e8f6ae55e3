package dataset

import (
	"encoding/binary"
	"errors"

	"github.com/dgraph-io/badger/v4"

	"retort/dataset/journal"
)

// batch collects the changes of one group.
type batch struct {
	txn     *badger.Txn
	state   state             // as it will be
	size    int               // bytes, about
	entries []journal.Entry   // the changes, in order
	added   []Example         // for the tally: examples as they will be
	removed []Example         // and as they were
	index   map[string]uint64 // positions of new examples, by digest; 0 for those that were removed

	// inFlight is a group that txn does not see. Changes that read do not meet one.
	inFlight *batch
}

// position returns where the example with this digest is stored, or will be; 0
// is nowhere.
func (b *batch) position(digest []byte) (uint64, error) {
	if b.inFlight != nil {
		if position, changed := b.inFlight.index[string(digest)]; changed {
			return position, nil
		}
	}
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
func (b *batch) add(digest []byte, ex Example, payload []byte) error {
	b.state.Positions++
	key, raw := indexRecord(digest, b.state.Positions)
	if err := b.txn.Set(key, raw); err != nil {
		return err
	}
	b.moved(digest, b.state.Positions)
	b.added = append(b.added, ex)
	return b.set(b.state.Positions, payload)
}

// moved remembers the position of an example for the next group, which does not see
// this one in Badger yet.
func (b *batch) moved(digest []byte, position uint64) {
	if b.index == nil {
		b.index = map[string]uint64{}
	}
	b.index[string(digest)] = position
}

// replace stores a new version of an example that is there already.
func (b *batch) replace(rec stored, before, after Example, payload []byte) error {
	b.added, b.removed = append(b.added, after), append(b.removed, before)
	return b.supersede(rec, payload)
}

// supersede puts something else at the position of rec.
func (b *batch) supersede(rec stored, payload []byte) error {
	b.state.Sum -= rec.change
	return b.set(rec.position, payload)
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
