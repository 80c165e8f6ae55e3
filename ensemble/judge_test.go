package ensemble_test

import (
	"context"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"

	"retort/ensemble"
	"retort/ensemble/judge"
	"retort/llm"
	"retort/llm/llmtest"
)

// shown takes the two answers and their labels out of a judge's prompt.
var shown = regexp.MustCompile(`(?s)Answer (\w): "(.*?)"\n\nAnswer (\w): "(.*?)"\n\nReply`)

// reader is a judge that is read by probability: it likes the answer that holds
// the word likes, leans to the first place by lean whatever stands there, and
// likes by bias what it reads first if it reads anything.
type reader struct {
	llmtest.Script
	likes string
	lean  float64
	bias  float64
}

func (r *reader) Score(_ context.Context, req llm.Request, _ []string) ([]llm.Score, error) {
	m := shown.FindStringSubmatch(req.Messages[0].Content)
	first := r.lean
	if m[2] != "..." {
		first += r.bias
	}
	if strings.Contains(m[2], r.likes) {
		first += 2
	}
	if strings.Contains(m[4], r.likes) {
		first -= 2
	}
	return []llm.Score{{Logprob: first - 5}, {Logprob: -5}}, r.Err
}

// writer is a judge that answers in JSON, and picks the answer with the word
// likes, or always the first.
func writer(name, likes string) *llmtest.Script {
	return &llmtest.Script{Name: name, Reply: func(req llm.Request) string {
		m := shown.FindStringSubmatch(req.Messages[0].Content)
		switch {
		case likes == "" || strings.Contains(m[2], likes):
			return `{"better": "` + m[1] + `"}`
		case strings.Contains(m[4], likes):
			return `{"better": "` + m[3] + `"}`
		}
		return `{"better": "tie"}`
	}}
}

func compare(t *testing.T, m llm.Model, first, second string) (judge.Verdict, error) {
	t.Helper()
	j, err := judge.New(t.Context(), m, ask("what is blue?"))
	if err != nil {
		t.Fatal(err)
	}
	return j.Compare(t.Context(), first, second)
}

func TestCompare(t *testing.T) {
	for name, tc := range map[string]struct {
		judge llm.Model
		first float64 // least or, below a half, most
		tie   bool
	}{
		"read":                {&reader{likes: "sky"}, 0.85, false},
		"read, order decides": {&reader{likes: "sky", bias: 3}, 0.5, true},
		"read, leaning":       {&reader{likes: "sky", lean: 9}, 0.85, false},
		"read, no difference": {&reader{likes: "none"}, 0.5, true},
		"written":             {writer("w", "sky"), 0.99, false},
		"written, order":      {writer("w", ""), 0.5, true},
		"written, second":     {writer("w", "sea"), 0.01, false},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := compare(t, tc.judge, "the sky", "the sea")
			if err != nil {
				t.Fatal(err)
			}
			good := v.Tie == tc.tie && (tc.first > 0.5 && v.First >= tc.first || tc.first < 0.5 && v.First <= tc.first || v.First == tc.first)
			if !good {
				t.Errorf("verdict %+v, want %g, tie %v", v, tc.first, tc.tie)
			}
		})
	}
}

func TestCompare_lengthAloneEarnsNothing(t *testing.T) {
	padding := strings.Repeat(" indeed", 40)
	long, err := compare(t, &reader{likes: "sky"}, "the sky"+padding, "the sea")
	if err != nil {
		t.Fatal(err)
	}
	short, err := compare(t, &reader{likes: "sky"}, "the sky", "the sea"+padding)
	if err != nil {
		t.Fatal(err)
	}
	if long.First >= short.First || long.First < 0.5 {
		t.Errorf("the same merit is worth %.3f when long and %.3f when short", long.First, short.First)
	}
}

func TestBestOfN_judges(t *testing.T) {
	members := []ensemble.Member{
		{Model: script("a", "the sea")}, {Model: script("b", "the sea")}, {Model: script("c", "the sky")}, {Model: script("d", "the grass")}}
	down := &reader{likes: "sky", Script: llmtest.Script{Name: "down", Err: errors.New("no weights")}}
	prose := &llmtest.Script{Name: "prose", Answers: []string{"I think A is better."}}
	for name, tc := range map[string]struct {
		judges []llm.Model
		answer string
		ties   int
		note   bool
	}{
		"one that reads":           {[]llm.Model{&reader{likes: "sky"}}, "the sky", 1, false},
		"a panel":                  {[]llm.Model{writer("x", "sky"), writer("y", "sky"), writer("z", "grass")}, "the sky", 1, false},
		"ties are decided by vote": {[]llm.Model{writer("x", "")}, "the sea", 3, false},
		"one fails, one judges":    {[]llm.Model{down, writer("x", "grass")}, "the grass", 0, false},
		"all fail":                 {[]llm.Model{down, prose}, "the sea", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := queryWith(t, ensemble.Options{Judges: tc.judges}, ensemble.BestOfN, members...)
			if err != nil {
				t.Fatal(err)
			}
			if out.Answer != tc.answer || len(out.Judges) != len(tc.judges) || (len(out.Notes) > 0) != tc.note {
				t.Errorf("%q by %q, judges %+v, notes %q", out.Answer, out.Method, out.Judges, out.Notes)
			}
			if tc.note == strings.Contains(out.Method, "judges") {
				t.Errorf("method %q", out.Method)
			}
			for i, j := range out.Judges {
				if (tc.judges[i] == llm.Model(down) || tc.judges[i] == llm.Model(prose)) != (j.Err != nil) {
					t.Errorf("judge %+v", j)
				}
			}
			if j := out.Judges[0]; j.Err == nil && (j.Compared != 3 || j.Ties != tc.ties) {
				t.Errorf("judge %+v, want 3 pairs and %d ties", j, tc.ties)
			}
		})
	}
}

func TestBestOfN_judgeIsNotHeardOnItsOwnAnswer(t *testing.T) {
	vain := writer("vain", "mine") // likes its own answer best
	fair := writer("fair", "right")
	out, err := queryWith(t, ensemble.Options{Judges: []llm.Model{vain, fair}}, ensemble.BestOfN,
		ensemble.Member{Model: script("vain", "mine"), Quality: 6}, ensemble.Member{Model: script("b", "right")})
	if err != nil || out.Answer != "right" || !near(out.Confidence, 0.99999) && out.Confidence < 0.9 {
		t.Errorf("%q with %g, %v", out.Answer, out.Confidence, err)
	}
}

// liker scores by how many of its favourite letters a text has.
type liker struct {
	llmtest.Script
	likes string
}

func (l *liker) Score(_ context.Context, _ llm.Request, texts []string) ([]llm.Score, error) {
	out := make([]llm.Score, len(texts))
	for i, text := range texts {
		out[i].Logprob = -4 * float64(len(text)-strings.Count(text, l.likes))
	}
	return out, l.Err
}

func TestBestOfN_crossLikelihood(t *testing.T) {
	members := []ensemble.Member{
		{Model: &liker{llmtest.Script{Name: "a", Answers: []string{"xxxx"}}, "x"}},
		{Model: &liker{llmtest.Script{Name: "b", Answers: []string{"zyzy"}}, "y"}},
		{Model: &liker{llmtest.Script{Name: "c", Answers: []string{"qqqqqqqqqqqqqqq"}}, "y"}},
	}
	out, err := queryWith(t, ensemble.Options{CrossLikelihood: true}, ensemble.BestOfN, members...)
	if err != nil {
		t.Fatal(err)
	}
	// b's answer is half liked by c; nobody but its author likes a's; length buys nothing.
	if out.Answer != "zyzy" || out.Signals.CrossLikelihood == nil || !strings.Contains(out.Method, "cross-likelihood") {
		t.Errorf("%q by %q, signals %+v", out.Answer, out.Method, out.Signals)
	}
	out, err = queryWith(t, ensemble.Options{CrossLikelihood: true}, ensemble.BestOfN, members[0], ensemble.Member{Model: script("d", "blue"), Quality: 6})
	if err != nil || out.Answer != "blue" || len(out.Notes) != 1 {
		t.Errorf("%q, notes %q, %v: with one scorer votes decide, and that is said", out.Answer, out.Notes, err)
	}
}

func TestSignals_orderBySureness(t *testing.T) {
	raw := func(answers ...string) float64 {
		var members []ensemble.Member
		for i, a := range answers {
			members = append(members, ensemble.Member{Model: script(string(rune('a'+i)), a)})
		}
		out, err := queryWith(t, ensemble.Options{AllVotes: true}, ensemble.Vote, members...)
		if err != nil {
			t.Fatal(err)
		}
		return out.Signals.Raw()
	}
	all, most, half, none := raw("x", "x", "x", "x"), raw("x", "x", "x", "y"), raw("x", "x", "y", "z"), raw("w", "x", "y", "z")
	if !(all > most && most > half && half > none) || math.Abs(all-1) > 1e-9 {
		t.Errorf("raw confidence %g, %g, %g, %g, want it to fall from 1", all, most, half, none)
	}
}
