package dataset

import (
	"iter"

	// What encoding/json is from Go 1.27 on: the same results, a third of the time.
	json "github.com/go-json-experiment/json/v1"

	"retort/internal/ahead"
)

// decodeExample reads what encodeExample wrote.
func decodeExample(payload []byte) (ex Example, err error) {
	err = json.Unmarshal(payload, &ex)
	return ex, err
}

// decoded yields what one makes of records, in their order. They are read and decoded
// ahead, on all CPUs; when the sequence ends, so has that.
func decoded[T any](records iter.Seq2[stored, error], one func(stored) (T, error)) iter.Seq2[T, error] {
	return ahead.Map(records, func(rec stored) int { return len(rec.payload) }, one)
}
