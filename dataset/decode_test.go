package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// records yields n examples, with errBad in the place of every 50th, and notes in
// ended that it is over.
func records(t testing.TB, n, size int, ended *bool) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		defer func() { *ended = true }()
		for i := range n {
			if i%50 == 49 {
				if !yield(stored{}, errBad) {
					return
				}
				continue
			}
			ex := testExample(i)
			ex.TaskType = fmt.Sprint(i)
			ex.Response = strings.Repeat("a", size)
			payload, err := encodeExample(ex)
			if err != nil {
				t.Error(err)
			}
			if !yield(stored{position: uint64(i + 1), payload: payload}, nil) {
				return
			}
		}
	}
}

var errBad = errors.New("bad")

func TestDecoded_keepsTheOrder(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, c := range []struct{ n, size int }{{0, 1}, {1, 1}, {1000, 1}, {64, 1}, {60, 100 << 10}} {
		var ended bool
		i := 0
		for ex, err := range decoded(records(t, c.n, c.size, &ended), stored.example) {
			switch bad := i%50 == 49; {
			case bad && !errors.Is(err, errBad), !bad && (err != nil || ex.TaskType != fmt.Sprint(i)):
				t.Fatalf("%d of %+v: %q, %v", i, c, ex.TaskType, err)
			}
			i++
		}
		if i != c.n || !ended {
			t.Errorf("%d of %d, ended: %t", i, c.n, ended)
		}
	}
}

func TestDecoded_endsWithTheLoop(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, stopAt := range []int{1, 64, 65, 300} {
		var ended bool
		i := 0
		for range decoded(records(t, 100_000, 1, &ended), stored.example) {
			if i++; i == stopAt {
				break
			}
		}
		if !ended {
			t.Errorf("broken off at %d, it reads on", stopAt)
		}
	}
}

func TestDecoded_endsWithAPanic(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var ended bool
	func() {
		defer func() { _ = recover() }()
		for range decoded(records(t, 100_000, 1, &ended), stored.example) {
			panic("in the loop")
		}
	}()
	if !ended {
		t.Error("it reads on")
	}
}

// FuzzDecodeExample compares with encoding/json, which wrote all stores so far.
func FuzzDecodeExample(f *testing.F) {
	whole, err := encodeExample(Identify(testExample(1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	for _, seed := range []string{`{}`, `null`, `{"MESSAGES":[{"role":"user","content":"\ud800"}]}`, `{"user_feedback":5,"user_feedback":1}`,
		`{"base_quality":0.5,"source":{"seed":null}}`, `{"messages":[{"images":[{"media_type":"image/png","data":"AAE="}]}],"response":"\u003c"}`,
		`{"created_at":"2026-01-01T00:00:00Z"} `, `{"quality_score":1e400}`, "{\"response\":\"\xff\"}", `[1]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var want Example
		wantErr := json.Unmarshal(payload, &want)
		got, err := decodeExample(payload)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, want %v", payload, err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", payload, got, want)
		}
	})
}
