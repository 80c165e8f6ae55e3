package dataset_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"retort/dataset"
	"retort/llm"
)

func TestStore_prefersABetterAnswer(t *testing.T) {
	dir := t.TempDir()
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	old := dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User("2+2?")}, Response: "5", QualityScore: 0.9, TaskType: "sums",
		Source: dataset.Source{Kind: "ensemble", Terms: "restricted"}})
	if _, err := s.Put(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	wish := dataset.Preference{ID: old.ID[7:19], Stars: 2, Better: "4"}
	worse, better, err := s.Prefer(t.Context(), wish)
	if err != nil || worse.ID != old.ID || worse.UserFeedback != 2 || worse.QualityScore >= 0.7 {
		t.Errorf("worse: %+v, %v", worse, err)
	}
	want := dataset.Identify(dataset.Example{Messages: old.Messages, Response: "4", QualityScore: 1, BaseQuality: new(1.0), TaskType: "sums",
		UserFeedback: 5, Source: dataset.Source{Kind: "manual", Terms: "restricted"}, Rejected: []string{"5"}})
	if diff := cmp.Diff(want, better, cmpopts.IgnoreFields(dataset.Example{}, "CreatedAt")); diff != "" || better.CreatedAt.IsZero() {
		t.Errorf("better (-want +got):\n%s", diff)
	}
	if better.Split != worse.Split {
		t.Error("the two answers are on different sides")
	}
	if _, again, err := s.Prefer(t.Context(), wish); err != nil || cmp.Diff(better, again) != "" {
		t.Errorf("once more: %v (-want +got):\n%s", err, cmp.Diff(better, again))
	}

	// The other way round: the newer wish holds.
	worse, better, err = s.Prefer(t.Context(), dataset.Preference{ID: better.ID, Stars: 1, Better: "5"})
	if err != nil || len(worse.Rejected) != 0 || !cmp.Equal(better.Rejected, []string{"4"}) || better.UserFeedback != 2 {
		t.Errorf("turned round: %+v over %+v, %v", better, worse, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = dataset.Open(dir, dataset.Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if report, err := s.Verify(t.Context()); err != nil || len(report.Damage) > 0 {
		t.Errorf("verify: %+v, %v", report, err)
	}
	if got, err := s.Get(t.Context(), better.ID); err != nil || cmp.Diff(better, got) != "" {
		t.Errorf("opened anew: %v (-want +got):\n%s", err, cmp.Diff(better, got))
	}
}

func TestStore_refusesPreferencesThatAreNone(t *testing.T) {
	s, err := dataset.Open(t.TempDir(), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ex := dataset.Identify(newExample(1))
	if _, err := s.Put(t.Context(), ex); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		wish dataset.Preference
		want error
	}{
		"no such example": {dataset.Preference{ID: "00", Stars: 1, Better: "x"}, dataset.ErrNotFound},
		"no stars":        {dataset.Preference{ID: ex.ID, Better: "x"}, dataset.ErrInvalid},
		"six stars":       {dataset.Preference{ID: ex.ID, Stars: 6, Better: "x"}, dataset.ErrInvalid},
		"no text":         {dataset.Preference{ID: ex.ID, Stars: 1}, dataset.ErrInvalid},
		"the same text":   {dataset.Preference{ID: ex.ID, Stars: 1, Better: ex.Response}, dataset.ErrInvalid},
		"not UTF-8":       {dataset.Preference{ID: ex.ID, Stars: 1, Better: "\xff"}, dataset.ErrInvalid},
		"too long":        {dataset.Preference{ID: ex.ID, Stars: 1, Better: strings.Repeat("x", dataset.MaxExampleSize)}, dataset.ErrInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, err := s.Prefer(t.Context(), test.wish); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if got, err := s.Get(t.Context(), ex.ID); err != nil || got.UserFeedback != ex.UserFeedback {
				t.Errorf("the example is changed: %+v, %v", got, err)
			}
		})
	}
}

func TestStore_putAddsStarsThatAreMissing(t *testing.T) {
	s, err := dataset.Open(t.TempDir(), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rated := func(stars int) dataset.Example {
		ex := newExample(1)
		ex.UserFeedback = stars
		return ex
	}
	for _, stars := range []int{0, 1, 5} { // the first rating stays
		if _, err := s.Put(t.Context(), rated(stars)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Get(t.Context(), dataset.Identify(newExample(1)).ID)
	if err != nil || got.UserFeedback != 1 || got.QualityScore >= 0.7 {
		t.Errorf("%d stars, quality %g, %v; want 1 star and a low quality", got.UserFeedback, got.QualityScore, err)
	}
}

func TestStore_putAddsRejectedAnswers(t *testing.T) {
	s, err := dataset.Open(t.TempDir(), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	with := func(rejected ...string) dataset.Example {
		ex := newExample(1)
		ex.Rejected = rejected
		return ex
	}
	for i, want := range []int{1, 0, 0} {
		if n, err := s.Put(t.Context(), with(), with("a"), with("b", "a")); n != want || err != nil {
			t.Errorf("time %d: %d new, %v; want %d", i+1, n, err, want)
		}
	}
	got, err := s.Get(t.Context(), dataset.Identify(newExample(1)).ID)
	if err != nil || !cmp.Equal(got.Rejected, []string{"a", "b"}) {
		t.Errorf("rejected %q, %v; want a and b", got.Rejected, err)
	}
}

// A transaction of Badger takes about 2.4 MiB: additions to large examples must
// not go into one together.
func TestStore_putAddsToManyLargeExamples(t *testing.T) {
	s, err := dataset.Open(t.TempDir(), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var large, small []dataset.Example
	for n := range 6 {
		ex := dataset.Example{Messages: []llm.Message{llm.User("q")}, Response: fmt.Sprint(n), QualityScore: 0.9,
			Candidates: []dataset.Candidate{{Response: strings.Repeat("x", 900<<10)}}}
		large = append(large, ex)
		ex.Candidates, ex.Rejected = nil, []string{"worse"}
		small = append(small, ex)
	}
	if n, err := s.Put(t.Context(), large...); n != 6 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if n, err := s.Put(t.Context(), small...); n != 0 || err != nil {
		t.Fatalf("%d new, %v; want none", n, err)
	}
	for ex, err := range s.All(t.Context(), dataset.Filter{}) {
		if err != nil || len(ex.Rejected) != 1 || len(ex.Candidates) != 1 {
			t.Errorf("example %s: rejected %q, %d candidates, %v", ex.Response, ex.Rejected, len(ex.Candidates), err)
		}
	}
}
