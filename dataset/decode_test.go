package dataset

import (
	"encoding/json"
	"reflect"
	"testing"
)

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
