package dataset

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Keys in Badger. Positions count the examples from 1, in the order in which
// they were stored and without gaps.
//
//	'e' position (8 bytes, big endian)  ->  JSON of the Example, or of what became of it (gone.go)
//	'i' digest (32 bytes)               ->  position of the example with this ID
//	's'                                 ->  state
//
// Keys of the log of queries are in query.go.
const (
	examplePrefix = 'e'
	indexPrefix   = 'i'
)

var stateKey = []byte("s")

func exampleKey(position uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{examplePrefix}, position)
}

func indexKey(digest []byte) []byte {
	return append([]byte{indexPrefix}, digest...)
}

// keyName says in an error what a key stands for.
func keyName(key []byte) string {
	switch {
	case len(key) == 9 && key[0] == examplePrefix:
		return fmt.Sprintf("example %d", binary.BigEndian.Uint64(key[1:]))
	case len(key) > 1 && key[0] == indexPrefix:
		return "index entry " + idPrefix + hex.EncodeToString(key[1:])
	case len(key) == 9 && key[0] == queryPrefix:
		return fmt.Sprintf("query %d", binary.BigEndian.Uint64(key[1:]))
	case string(key) == string(totalsKey):
		return "the totals of the query log"
	case string(key) == string(tallyKey):
		return "the sums"
	case string(key) == string(stateKey):
		return "the store's state"
	}
	return fmt.Sprintf("key %q", key)
}

// state sums up everything that was ever stored. It is written with every commit.
type state struct {
	Positions uint64 // positions are 1 to this
	Changes   uint64 // how many times an example was stored, rated or forgotten, or a query logged
	Sum       uint64 // of the change numbers of all positions as they are now, wrapping
	Gone      uint64 // positions whose example is there no more
}

// stateSize is the size of a state, in bytes, and of one of format 1, which has
// no Gone.
const (
	stateSize  = 4 * 8
	stateSize1 = 3 * 8
)

// examples is how many there are.
func (s state) examples() uint64 { return s.Positions - s.Gone }

func (s state) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, s.Positions)
	b = binary.BigEndian.AppendUint64(b, s.Changes)
	b = binary.BigEndian.AppendUint64(b, s.Sum)
	return binary.BigEndian.AppendUint64(b, s.Gone)
}

// decodeState opens the record of a state that is kept under key.
func decodeState(key, raw []byte) (state, error) {
	_, payload, err := decodeRecord(key, raw)
	if err != nil {
		return state{}, err
	}
	if len(payload) != stateSize && len(payload) != stateSize1 {
		return state{}, fmt.Errorf("record of %s: %w: wrong size", keyName(key), ErrDamaged)
	}
	s := state{
		Positions: binary.BigEndian.Uint64(payload),
		Changes:   binary.BigEndian.Uint64(payload[8:]),
		Sum:       binary.BigEndian.Uint64(payload[16:]),
	}
	if len(payload) == stateSize {
		s.Gone = binary.BigEndian.Uint64(payload[24:])
	}
	return s, nil
}

// readState returns the zero state for an empty store.
func readState(txn *badger.Txn) (state, error) {
	raw, err := readRaw(txn, stateKey)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	return decodeState(stateKey, raw)
}

// readRaw returns a copy of the undecoded record under key.
func readRaw(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

// stored is an example as it lies in the store, checksum verified.
type stored struct {
	position uint64
	change   uint64
	payload  []byte
}

// example decodes s.
func (s stored) example() (Example, error) {
	ex, err := decodeExample(s.payload)
	if err != nil {
		return Example{}, fmt.Errorf("record of example %d: %w: %v", s.position, ErrDamaged, err)
	}
	return ex, nil
}

// readPosition returns the example at position, which must be there.
func readPosition(txn *badger.Txn, position uint64) (stored, error) {
	key := exampleKey(position)
	raw, err := readRaw(txn, key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return stored{}, fmt.Errorf("example %d: %w: it is missing", position, ErrDamaged)
	}
	if err != nil {
		return stored{}, err
	}
	change, payload, err := decodeRecord(key, raw)
	return stored{position, change, payload}, err
}

// decodeIndex returns the position that an index entry points to.
func decodeIndex(key, raw []byte) (uint64, error) {
	_, payload, err := decodeRecord(key, raw)
	if err != nil {
		return 0, err
	}
	if len(payload) != 8 {
		return 0, fmt.Errorf("record of %s: %w: wrong size", keyName(key), ErrDamaged)
	}
	return binary.BigEndian.Uint64(payload), nil
}
