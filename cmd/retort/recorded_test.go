package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"retort/llm"
	"retort/llm/llmtest"
)

func TestRecorded_isAModel(t *testing.T) {
	llmtest.TestModel(t, func(t *testing.T) llm.Model {
		rec, err := openRecording(filepath.Join(t.TempDir(), "rec.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { rec.Close() })
		return rec.model(&llmtest.Script{Name: "a"})
	}, llmtest.Options{})
}

func TestRecording_goesOnWhereItWasBrokenOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rec.jsonl")
	ask := func(m llm.Model, text string) string {
		t.Helper()
		resp, err := llm.Collect(t.Context(), m, llm.Request{Messages: []llm.Message{llm.User(text)}})
		if err != nil {
			t.Fatal(err)
		}
		return resp.Text
	}
	open := func() *recording {
		t.Helper()
		rec, err := openRecording(path)
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	rec := open()
	ask(rec.model(&llmtest.Script{Name: "a", Answers: []string{"first"}}), "one")
	failing := rec.model(&llmtest.Script{Name: "a", Err: errors.New("offline")})
	if _, err := llm.Collect(t.Context(), failing, llm.Request{Messages: []llm.Message{llm.User("two")}}); err == nil {
		t.Error("a failed answer was recorded")
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"key":"cut sho`)
	f.Close()

	rec = open()
	later := &llmtest.Script{Name: "a", Answers: []string{"second"}}
	if got := ask(rec.model(later), "one"); got != "first" || later.Calls() != 0 {
		t.Errorf("%q after %d calls, want what was recorded", got, later.Calls())
	}
	if got := ask(rec.model(later), "two"); got != "second" {
		t.Errorf("%q, want a new answer", got)
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openRecording(path); err == nil {
		t.Error("a file that is no recording was taken for one")
	}
}

// A file that cannot be read to its end must not be cut off there.
func TestRecording_unreadable(t *testing.T) {
	bad := errors.New("bad sector")
	f := io.MultiReader(strings.NewReader(`{"key":"a"}`+"\n"), iotest.ErrReader(bad))
	rec := &recording{said: map[string]utterance{}}
	if end, err := rec.read(f); !errors.Is(err, bad) {
		t.Errorf("ends at %d, %v", end, err)
	}
}

func TestPair_isPaired(t *testing.T) {
	a, b := &arm{name: "a"}, &arm{name: "b"}
	for i := range 400 {
		a.right = append(a.right, i%10 != 0)            // 90 %
		b.right = append(b.right, i%10 != 0 && i%8 > 0) // worse, and never better
	}
	p := pair(a, b)
	if p.Difference < 0.05 || p.Low <= 0 || p.High <= p.Difference || p.Low >= p.Difference {
		t.Errorf("%+v", p)
	}
	if same := pair(a, a); same.Difference != 0 || same.Low != 0 || same.High != 0 {
		t.Errorf("%+v", same)
	}
}
