package main

import (
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/dataset/forms"
	"retort/llm"
)

// numbered yields n examples; the n-th of bad holds personal data.
func numbered(n int, bad ...int) iter.Seq2[dataset.Example, error] {
	holds := map[int]bool{}
	for _, i := range bad {
		holds[i] = true
	}
	return func(yield func(dataset.Example, error) bool) {
		for i := range n {
			ex := dataset.Example{Messages: []llm.Message{llm.User(fmt.Sprint(i))}, Response: "ok", Rejected: []string{"no"}}
			if holds[i] {
				ex.Response = "Ask anna.schmidt@posteo.de"
			}
			if !yield(dataset.Identify(ex), nil) {
				return
			}
		}
	}
}

func TestOutgoing_leavesOutWhatIsQuarantined(t *testing.T) {
	r := retortWith(t, "")
	for _, form := range []forms.Form{forms.OpenAI, forms.TRLDPO, forms.Retort} {
		out, err := r.outgoingIn(form, false)
		if err != nil {
			t.Fatal(err)
		}
		for pass := range 2 {
			want := 0
			for ex, err := range out.only(numbered(200, 7, 64, 199)) {
				for want == 7 || want == 64 {
					want++
				}
				if err != nil || ex.Messages[0].Content != fmt.Sprint(want) {
					t.Fatalf("%s, pass %d: %v, %v; want %d", form, pass, ex.Messages, err, want)
				}
				want++
			}
			if want != 199 {
				t.Errorf("%s, pass %d: ended before %d", form, pass, want)
			}
			if form != forms.TRLDPO {
				break // is ranged over once
			}
		}
		_, quarantined := out.count()
		if diff := cmp.Diff(map[clean.Reason]int{clean.PersonalData: 3}, quarantined); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", form, diff)
		}
	}
	out, err := r.outgoingIn(forms.OpenAI, true)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range out.only(numbered(100, 7)) {
		n++
	}
	if n != 100 {
		t.Errorf("--include-quarantined: %d of 100", n)
	}
}

// Answers that were not kept matter where they are written.
func TestOutgoing_looksAtWhatTheFormHolds(t *testing.T) {
	r := retortWith(t, "")
	ex := dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User("q")}, Response: "a", Rejected: []string{"Ask anna.schmidt@posteo.de"}})
	for form, want := range map[forms.Form]clean.Reason{forms.OpenAI: "", forms.Alpaca: "", forms.TRLDPO: clean.PersonalData,
		forms.TRLKTO: clean.PersonalData, forms.Parquet: clean.PersonalData, forms.Retort: clean.PersonalData} {
		out, err := r.outgoingIn(form, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := out.verdict(ex); got != want {
			t.Errorf("%s: %q, want %q", form, got, want)
		}
	}
}

func TestOutgoing_keepsErrorsInTheirPlace(t *testing.T) {
	broken := errors.New("damaged")
	source := func(yield func(dataset.Example, error) bool) {
		for ex, err := range numbered(3) {
			if !yield(ex, err) {
				return
			}
		}
		if yield(dataset.Example{}, broken) {
			numbered(2)(yield)
		}
	}
	out, err := retortWith(t, "").outgoingIn(forms.OpenAI, false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for ex, err := range out.only(source) {
		if err != nil {
			got = append(got, err.Error())
		} else {
			got = append(got, ex.Messages[0].Content)
		}
	}
	if diff := cmp.Diff([]string{"0", "1", "2", "damaged", "0", "1"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for range out.only(source) {
		break // ends the sequence
	}
}
