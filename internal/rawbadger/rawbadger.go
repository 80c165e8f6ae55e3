// Package rawbadger writes rows into Badger with nothing around it: the peer of a
// store that is built on it. Call [Ingest].
package rawbadger

import (
	"encoding/binary"
	"iter"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Ingest writes batches of rows to a new database in dir and returns how long that
// took without the making of the rows: one WriteBatch for each batch, which is on
// disk before the next one begins. Keys are positions, so that they come in order.
// But for the sync all options are Badger's defaults.
func Ingest(dir string, batches iter.Seq2[[][]byte, error]) (took time.Duration, err error) {
	db, err := badger.Open(badger.DefaultOptions(dir).WithSyncWrites(true).WithLogger(nil))
	if err != nil {
		return 0, err
	}
	defer func() {
		if closeErr := db.Close(); err == nil {
			err = closeErr
		}
	}()
	position := uint64(0)
	for batch, err := range batches {
		if err != nil {
			return 0, err
		}
		began := time.Now()
		if err := write(db, position, batch); err != nil {
			return 0, err
		}
		took += time.Since(began)
		position += uint64(len(batch))
	}
	return took, nil
}

// write puts rows behind the first position ones.
func write(db *badger.DB, position uint64, rows [][]byte) error {
	wb := db.NewWriteBatch()
	defer wb.Cancel()
	for _, row := range rows {
		position++
		if err := wb.Set(binary.BigEndian.AppendUint64(nil, position), row); err != nil {
			return err
		}
	}
	return wb.Flush()
}
