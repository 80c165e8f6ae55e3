package dataset

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"
	"unicode/utf8"

	"github.com/dgraph-io/badger/v4"
	json "github.com/go-json-experiment/json/v1" // see decode.go
)

// Query is the record of one question: who was asked, what it took, and how sure
// the answer was. It holds no text of question or answer; where the answer was
// kept, ExampleID leads to both and to the owner's rating.
type Query struct {
	At         time.Time          `json:"at"`   // UTC
	Kind       string             `json:"kind"` // "ensemble", or "eval" where the right answer was known
	Strategy   string             `json:"strategy"`
	TaskType   string             `json:"task_type"`
	Method     string             `json:"method"`
	Answered   bool               `json:"answered"` // false: no consensus, or not sure enough
	Confidence float64            `json:"confidence"`
	Raw        float64            `json:"raw_confidence"` // before calibration
	Calibrated bool               `json:"calibrated"`
	Signals    map[string]float64 `json:"signals,omitempty"`
	Right      *bool              `json:"right,omitempty"` // known for Kind "eval" alone
	ExampleID  string             `json:"example_id,omitempty"`
	Members    []QueryMember      `json:"members"`
	CostUSD    float64            `json:"cost_usd"` // of members, judges and fuser together
	Seconds    float64            `json:"seconds"`
}

// QueryMember is what one member did in a Query.
type QueryMember struct {
	Model        string  `json:"model"`
	Answered     bool    `json:"answered"`
	Backed       bool    `json:"backed"`            // its answer was the one given
	Skipped      bool    `json:"skipped,omitempty"` // the outcome was decided without it
	Samples      int     `json:"samples"`
	Share        float64 `json:"share"` // of its samples that say its answer
	InputTokens  int     `json:"input_tokens"`
	OutputTokens int     `json:"output_tokens"`
	CostUSD      float64 `json:"cost_usd"`
	Seconds      float64 `json:"seconds"`
	Error        string  `json:"error,omitempty"`
}

// The log of queries lies beside the examples in Badger:
//
//	'q' change (8 bytes, big endian)  ->  JSON of the Query
//	't'                               ->  how many there are, and the sum of their changes
//
// Its changes are counted with those of the examples.
const queryPrefix = 'q'

func queryKey(change uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{queryPrefix}, change)
}

var totalsKey = []byte("t")

// queryTotals says what the log of queries holds.
type queryTotals struct{ Count, Sum uint64 }

func (t queryTotals) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, t.Count), t.Sum)
}

func readTotals(txn *badger.Txn) (queryTotals, error) {
	raw, err := readRaw(txn, totalsKey)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return queryTotals{}, nil
	}
	if err != nil {
		return queryTotals{}, err
	}
	_, payload, err := decodeRecord(totalsKey, raw)
	if err == nil && len(payload) != 16 {
		err = fmt.Errorf("record of %s: %w: wrong size", keyName(totalsKey), ErrDamaged)
	}
	if err != nil {
		return queryTotals{}, err
	}
	return queryTotals{binary.BigEndian.Uint64(payload), binary.BigEndian.Uint64(payload[8:])}, nil
}

// PutQueries adds to the log of queries and returns once they are on disk. A
// query without a time gets the present one. Queries that together take less than
// a MiB are stored all or none.
func (s *Store) PutQueries(ctx context.Context, queries ...Query) error {
	if err := s.enter(); err != nil {
		return fmt.Errorf("log query: %w", err)
	}
	defer s.leave()
	var items []item
	for _, q := range queries {
		payload, err := encodeQuery(q)
		if err != nil {
			return fmt.Errorf("log query: %w", err)
		}
		items = append(items, item{payload: payload})
	}
	for chunk := range chunks(items) {
		if err := s.committer.submit(ctx, func(b *batch) error { return b.log(chunk) }); err != nil {
			return fmt.Errorf("log query: %w", err)
		}
	}
	return nil
}

// Validate refuses, with an error that wraps ErrInvalid, what could not be read
// back as it is.
func (q Query) Validate() error {
	for _, m := range q.Members {
		if !utf8.ValidString(m.Error) {
			return fmt.Errorf("%w: an error text is not UTF-8", ErrInvalid)
		}
	}
	return nil
}

func encodeQuery(q Query) ([]byte, error) {
	if q.At.IsZero() {
		q.At = time.Now()
	}
	q.At = q.At.UTC()
	if err := q.Validate(); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(payload) > MaxExampleSize {
		return nil, fmt.Errorf("%w: it takes %d bytes, the limit is %d", ErrInvalid, len(payload), MaxExampleSize)
	}
	return payload, nil
}

// log adds queries, already encoded.
func (b *batch) log(items []item) error {
	totals, err := readTotals(b.txn)
	if err != nil {
		return err
	}
	for _, it := range items {
		if err := b.write(queryKey(b.state.Changes+1), 0, it.payload); err != nil {
			return err
		}
		totals.Count++
		totals.Sum += b.state.Changes
	}
	return b.txn.Set(totalsKey, encodeRecord(totalsKey, b.state.Changes, totals.encode()))
}

// Queries yields the log of queries, oldest first, as it was when the range
// began. A damaged query is an error in its place, and missing ones are an error
// at the end; neither ends the sequence, only ctx does. The loop must not call
// Close.
func (s *Store) Queries(ctx context.Context) iter.Seq2[Query, error] {
	return func(yield func(Query, error) bool) {
		if err := s.enter(); err != nil {
			yield(Query{}, fmt.Errorf("read queries: %w", err))
			return
		}
		defer s.leave()
		errs := s.log.mark()
		sn, err := s.snapshot()
		if err != nil {
			yield(Query{}, fmt.Errorf("read queries: %w", err))
			return
		}
		defer sn.close()
		for q, err := range sn.queries(ctx) {
			if err != nil {
				err = fmt.Errorf("read queries: %w", err)
			}
			if !yield(q, err) {
				return
			}
		}
		if err := s.log.since(errs); err != nil {
			yield(Query{}, fmt.Errorf("read queries: %w", err))
		}
	}
}

// queries yields the log, and last an error if it is not the whole.
func (sn *snapshot) queries(ctx context.Context) iter.Seq2[Query, error] {
	return decoded(sn.queryRecords(ctx), stored.query)
}

// queryRecords yields the log undecoded, and last an error if it is not the whole.
func (sn *snapshot) queryRecords(ctx context.Context) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		var found queryTotals
		for e, err := range sn.entries(ctx, queryPrefix) {
			var rec stored
			if err != nil {
				yield(rec, err)
				return
			}
			rec.change, rec.payload, err = decodeRecord(e.key, e.raw)
			if err == nil {
				found.Count, found.Sum = found.Count+1, found.Sum+rec.change
			}
			if !yield(rec, err) {
				return
			}
		}
		want, err := readTotals(sn.txn)
		if err == nil && want != found {
			err = fmt.Errorf("the log of queries has %d intact entries of %d: %w", found.Count, want.Count, ErrDamaged)
		}
		if err != nil {
			yield(stored{}, err)
		}
	}
}

// query decodes s.
func (s stored) query() (q Query, err error) {
	if err := json.Unmarshal(s.payload, &q); err != nil {
		return Query{}, fmt.Errorf("record of query %d: %w: %v", s.change, ErrDamaged, err)
	}
	return q, nil
}

// verifyQueries checks the log of queries.
func (sn *snapshot) verifyQueries(ctx context.Context, r *Report) error {
	for _, err := range sn.queries(ctx) {
		switch {
		case err == nil:
			r.Queries++
		case errors.Is(err, ErrDamaged):
			r.Damage = append(r.Damage, err)
		default:
			return err
		}
	}
	return nil
}
