package clean_test

import (
	"sync"
	"testing"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/llm"
)

const token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"

func TestQuarantine(t *testing.T) {
	q, err := clean.NewQuarantine()
	if err != nil {
		t.Fatal(err)
	}
	plain := example("Where is the key?", "At the desk.")
	tests := map[string]struct {
		ex               dataset.Example
		reason, anywhere clean.Reason
		detail           string // of what is found anywhere
	}{
		"nothing":      {plain, "", "", ""},
		"in a message": {with(plain, func(ex *dataset.Example) { ex.Messages = []llm.Message{llm.User("use " + token)} }), clean.Secret, clean.Secret, "github-pat in its user"},
		"in the response": {with(plain, func(ex *dataset.Example) { ex.Response = "Ask anna.schmidt@posteo.de" }), clean.PersonalData, clean.PersonalData,
			"email address in its response"},
		"in a rejected answer": {with(plain, func(ex *dataset.Example) { ex.Rejected = []string{"No.", "Ask anna.schmidt@posteo.de"} }), "", clean.PersonalData,
			"email address in its rejected answer"},
		"in a candidate": {with(plain, func(ex *dataset.Example) { ex.Candidates = []dataset.Candidate{{Response: token}} }), "", clean.Secret,
			"github-pat in its candidate"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if r, _ := q.Holds(test.ex); r != test.reason {
				t.Errorf("holds %q, want %q", r, test.reason)
			}
			if r, detail := q.HoldsAnywhere(test.ex); r != test.anywhere || detail != test.detail {
				t.Errorf("anywhere %q, %q; want %q, %q", r, detail, test.anywhere, test.detail)
			}
		})
	}
	var wg sync.WaitGroup // for the race detector
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if r, _ := q.Holds(tests["in a message"].ex); r != clean.Secret {
					t.Errorf("holds %q at once with others", r)
				}
			}
		})
	}
	wg.Wait()
}
