package rawbadger_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"retort/internal/rawbadger"
)

func batches(n int, last error) iter.Seq2[[][]byte, error] {
	return func(yield func([][]byte, error) bool) {
		for b := range n {
			if !yield([][]byte{fmt.Appendf(nil, "%d.1", b), fmt.Appendf(nil, "%d.2", b)}, nil) {
				return
			}
		}
		if last != nil {
			yield(nil, last)
		}
	}
}

func TestIngest_storesEveryRow(t *testing.T) {
	dir := t.TempDir()
	took, err := rawbadger.Ingest(dir, batches(3, nil))
	if err != nil || took <= 0 {
		t.Fatal(took, err)
	}
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(txn *badger.Txn) error {
		for position, want := range []string{"0.1", "0.2", "1.1", "1.2", "2.1", "2.2"} {
			item, err := txn.Get(binary.BigEndian.AppendUint64(nil, uint64(position+1)))
			if err != nil {
				return err
			}
			if got, err := item.ValueCopy(nil); err != nil || string(got) != want {
				t.Errorf("row %d is %q (%v), want %q", position+1, got, err, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestIngest_stopsWhereRowsDo(t *testing.T) {
	want := errors.New("no rows")
	if _, err := rawbadger.Ingest(t.TempDir(), batches(1, want)); !errors.Is(err, want) {
		t.Error(err)
	}
}
