package main

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"retort/dataset"
	"retort/ensemble/routing"
	"retort/llm"
	"retort/models"
)

var day0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// asked is a query of two paid members, answered after so many days.
func asked(days int, example string, backed [2]bool) dataset.Query {
	q := dataset.Query{At: day0.AddDate(0, 0, days), Kind: "ensemble", Strategy: "vote", TaskType: "code", Answered: true,
		ExampleID: example, CostUSD: 0.03, Seconds: 3, Raw: 0.8}
	for i, id := range []string{"openai/a", "llamacpp/b"} {
		q.Members = append(q.Members, dataset.QueryMember{Model: id, Answered: true, Backed: backed[i], Samples: 1,
			InputTokens: 600, OutputTokens: 400, CostUSD: []float64{0.03, 0}[i], Seconds: 2})
	}
	return q
}

func ownAnswer(days int) dataset.Query {
	return dataset.Query{At: day0.AddDate(0, 0, days), Kind: "ensemble", TaskType: "code", Answered: true, CostUSD: 0, Seconds: 0.5,
		Members: []dataset.QueryMember{{Model: "llamacpp/mine", Answered: true, Backed: true, Samples: 1, InputTokens: 50, OutputTokens: 50, Seconds: 0.5}}}
}

func TestReport(t *testing.T) {
	down := asked(1, "", [2]bool{true, false})
	down.Answered, down.Members[1].Answered, down.Members[1].Error = false, false, "offline"
	log := []dataset.Query{asked(0, "x1", [2]bool{true, true}), down, ownAnswer(2)}
	var v reportView
	v.sum(log)
	if v.Queries != 3 || math.Abs(v.CostUSD-0.06) > 1e-12 || len(v.Days) != 3 || v.Days[0].Name != "2026-03-01" || len(v.Models) != 3 {
		t.Errorf("sums %+v", v)
	}
	if m := v.Models[1]; m.Name != "llamacpp/mine" || m.Queries != 1 || m.InputTokens != 50 {
		t.Errorf("model %+v", m)
	}
	own := []models.Manifest{{ID: "mine", Kind: models.KindAdapter, TaskType: "code"}}
	rows := performanceOf(log, map[string]int{"x1": 5}, own)
	if len(rows) != 3 {
		t.Fatalf("%d rows", len(rows))
	}
	single, ens, yours := rows[0], rows[1], rows[2]
	if single.Queries != 4 || single.Reliability != 0.75 || *single.Quality != 10 || single.Independence || math.Abs(*single.CostPer1K-0.015) > 1e-12 {
		t.Errorf("single %+v", single)
	}
	if ens.Queries != 2 || ens.Reliability != 0.5 || ens.Rated != 1 || ens.Seconds != 3 {
		t.Errorf("ensemble %+v", ens)
	}
	if yours.Quality != nil || !yours.Independence || yours.Customization != "high" || *yours.CostPer1K != 0 {
		t.Errorf("yours %+v", yours)
	}
}

func TestBreakEven(t *testing.T) {
	mine := models.Manifest{ID: "mine", TaskType: "code", CreatedAt: day0.AddDate(0, 0, 5)}
	learnt := []dataset.Query{asked(0, "x1", [2]bool{true, true}), asked(1, "x2", [2]bool{true, true})} // $0.06
	now := day0.AddDate(0, 0, 10)
	for name, tc := range map[string]struct {
		served   int
		training float64
		date     string
		reason   string
	}{
		"no use yet":  {0, 0, "", "nothing to compare yet"},
		"half way":    {2, 0.06, "2026-03-16", "0.5 questions a day"}, // $0.12, $0.015 a day over 4 days: 4 more
		"paid for":    {3, 0, "2026-03-09", "paid for"},
		"not at once": {1, 1000, "2035", ""},
	} {
		log := learnt
		for i := range tc.served {
			log = append(log, ownAnswer(6+i))
		}
		b := breakEvenOf(mine, log, tc.training, now)
		date := ""
		if b.Date != nil {
			date = b.Date.Format(time.DateOnly)
		}
		if name != "not at once" && (date != tc.date || !strings.Contains(b.Reason, tc.reason)) {
			t.Errorf("%s: %s, %q; want %s, %q (%+v)", name, date, b.Reason, tc.date, tc.reason, b)
		}
		if name == "not at once" && (b.Date == nil || b.Date.Before(now.AddDate(1, 0, 0))) {
			t.Errorf("%s: %v", name, b.Date)
		}
	}
}

func TestLearnt(t *testing.T) {
	l := newLearnt()
	for i := range 30 {
		q := asked(0, fmt.Sprint("x", i), [2]bool{true, i%2 == 0})
		q.Raw = float64(i) / 30
		l.add(q, map[bool]int{true: 5, false: 1}[i >= 15])
	}
	l.add(asked(0, "", [2]bool{true, true}), 0)
	l.add(ownAnswer(0), 0) // alone and unrated: tells nothing
	if _, ok := l.skills[routing.SkillKey{Model: "mine", TaskType: "code"}]; ok {
		t.Error("a model learnt from agreeing with itself")
	}
	calibrate := l.calibrate()
	low, ok := calibrate("code", 0.1)
	high, _ := calibrate("code", 0.9)
	if !ok || low > 0.2 || high < 0.8 {
		t.Errorf("calibrated %g and %g, %v", low, high, ok)
	}
	if _, ok := calibrate("creative", 0.9); ok {
		t.Error("a task type without ratings is calibrated")
	}
}

func TestRatings_areThoseOfKeptAnswers(t *testing.T) {
	store, err := dataset.Open(t.TempDir(), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ex := dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User("q")}, Response: "a", QualityScore: 0.9, TaskType: "code"})
	if _, err := store.Put(t.Context(), ex); err != nil {
		t.Fatal(err)
	}
	log := []dataset.Query{asked(0, ex.ID, [2]bool{true, true}), asked(0, "", [2]bool{true, true}),
		asked(0, "sha256:"+strings.Repeat("0", 64), [2]bool{true, true})}
	if got, err := ratings(t.Context(), store, log); err != nil || got[ex.ID] != 0 {
		t.Fatal(got, err)
	}
	if _, err := store.Rate(t.Context(), ex.ID, 4); err != nil {
		t.Fatal(err)
	}
	got, err := ratings(t.Context(), store, log)
	if err != nil || starsOf(log[0], got) != 4 || starsOf(log[1], got) != 0 || starsOf(log[2], got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}
