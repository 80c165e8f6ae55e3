package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"retort/llm"
)

func allQueries(t *testing.T, s *Store) (out []Query) {
	t.Helper()
	for q, err := range s.Queries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, q)
	}
	return out
}

func TestQueries_outliveTheProcessBesideExamples(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ex := Example{Messages: []llm.Message{llm.User("q")}, Response: "a", QualityScore: 0.9, TaskType: "general"}
	want := Query{At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Kind: "ensemble", Strategy: "vote", TaskType: "code", Answered: true,
		Confidence: 0.8, Raw: 0.7, Signals: map[string]float64{"agreement": 1}, Right: new(true), CostUSD: 0.25, Seconds: 1.5,
		Members: []QueryMember{{Model: "m", Answered: true, Backed: true, Samples: 1, Share: 1, InputTokens: 3, CostUSD: 0.25}}}
	if err := s.PutQueries(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), ex); err != nil {
		t.Fatal(err)
	}
	if err := s.PutQueries(t.Context(), Query{Kind: "ensemble"}, Query{Kind: "ensemble"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := allQueries(t, s)
	if len(got) != 3 || !reflect.DeepEqual(got[0], want) || got[1].At.IsZero() {
		t.Errorf("queries %+v, want the first to be %+v", got, want)
	}
	r, err := s.Verify(t.Context())
	if err != nil || r.Err() != nil || r.Queries != 3 || r.Intact != 1 {
		t.Errorf("report %+v, %v", r, err)
	}
}

func TestQueries_concurrent(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if err := s.PutQueries(t.Context(), Query{Strategy: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(allQueries(t, s)); n != 50 {
		t.Errorf("%d queries, want 50", n)
	}
}

func TestQueries_damageIsNoticed(t *testing.T) {
	for name, harm := range map[string]func(*badger.Txn, []byte) error{
		"lost": func(txn *badger.Txn, key []byte) error { return txn.Delete(key) },
		"changed": func(txn *badger.Txn, key []byte) error {
			return txn.Set(key, encodeRecord([]byte("other"), 1, []byte("{}")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.TempDir(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.PutQueries(t.Context(), Query{}, Query{}, Query{}); err != nil {
				t.Fatal(err)
			}
			key := binary.BigEndian.AppendUint64([]byte{queryPrefix}, 2)
			if err := s.arrived(); err != nil { // else what was logged last would come after the harm
				t.Fatal(err)
			}
			if err := s.db.Update(func(txn *badger.Txn) error { return harm(txn, key) }); err != nil {
				t.Fatal(err)
			}
			intact, damaged := 0, 0
			for _, err := range s.Queries(t.Context()) {
				switch {
				case err == nil:
					intact++
				case errors.Is(err, ErrDamaged):
					damaged++
				}
			}
			r, err := s.Verify(t.Context())
			if intact != 2 || damaged == 0 || err != nil || r.Err() == nil {
				t.Errorf("%d intact, %d damaged, report %+v, %v", intact, damaged, r, err)
			}
		})
	}
}

func TestQueries_refusesWhatItCannotKeep(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutQueries(t.Context(), Query{Members: []QueryMember{{Error: "\xff"}}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("error %v, want ErrInvalid", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.PutQueries(t.Context(), Query{}); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}
