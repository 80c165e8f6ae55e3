package ensemble_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"retort/ensemble"
	"retort/llm"
	"retort/llm/llmtest"
)

// leaning scores a choice by whether the question holds it, and likes "tea"
// whatever it is asked.
type leaning struct{ llmtest.Script }

func (l *leaning) Score(_ context.Context, req llm.Request, choices []string) ([]llm.Score, error) {
	question := req.Messages[len(req.Messages)-1].Content
	out := make([]llm.Score, len(choices))
	for i, c := range choices {
		out[i].Logprob = -3
		if strings.Contains(question, c) {
			out[i].Logprob += 2
		}
		if c == "tea" {
			out[i].Logprob += 5
		}
	}
	return out, nil
}

func chooser(samples int) ensemble.Member {
	return ensemble.Member{Model: &leaning{llmtest.Script{Name: "l"}}, Choices: []string{"tea", "coffee", "milk"}, Samples: samples}
}

func greedy(text string) llm.Request {
	req := ask(text)
	req.Sampling.Temperature = new(0.0)
	return req
}

func answer(t *testing.T, m ensemble.Member, req llm.Request) string {
	t.Helper()
	e, err := ensemble.New(ensemble.BestOfN, m)
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.Query(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return out.Answer
}

func TestCalibrate_takesTheLeaningOff(t *testing.T) {
	m := chooser(1)
	if got := answer(t, m, greedy("a coffee please")); got != "tea" {
		t.Fatalf("uncalibrated answer %q: the test's model does not lean", got)
	}
	steps := 0
	m, err := m.Calibrate(t.Context(), []llm.Request{ask("tea"), ask("coffee"), ask("milk")}, func(done, total int) { steps += total })
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"tea", "coffee", "milk"} {
		if got := answer(t, m, greedy("some "+want+" please")); got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
	}
	if steps != 9 {
		t.Errorf("progress was told %d, want 3 steps of 3", steps)
	}
}

func TestChoices_areDrawnByTheirProbability(t *testing.T) {
	const n = 4000
	m := chooser(n)
	e, err := ensemble.New(ensemble.BestOfN, m)
	if err != nil {
		t.Fatal(err)
	}
	req := ask("coffee")
	req.Sampling.Temperature, req.Sampling.Seed = new(2.0), new(int64(3))
	out, err := e.Query(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, c := range out.Candidates {
		counts[c.Text] += 1.0 / n
	}
	// log-probabilities 2, -1 and -3 at temperature 2
	z := math.Exp(1) + math.Exp(-0.5) + math.Exp(-1.5)
	for text, want := range map[string]float64{"tea": math.Exp(1) / z, "coffee": math.Exp(-0.5) / z, "milk": math.Exp(-1.5) / z} {
		if math.Abs(counts[text]-want) > 0.03 {
			t.Errorf("%s was drawn %.3f of the time, want %.3f", text, counts[text], want)
		}
	}
	again, err := e.Query(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range again.Candidates {
		if c.Text != out.Candidates[i].Text {
			t.Fatalf("sample %d differs with the same seed", i)
		}
	}
}

func TestChoices_needAScorer(t *testing.T) {
	m := ensemble.Member{Model: script("a", "tea"), Choices: []string{"tea"}}
	if _, err := query(t, ensemble.BestOfN, m); !errors.Is(err, llm.ErrUnsupported) {
		t.Errorf("error %v, want ErrUnsupported", err)
	}
	if _, err := m.Calibrate(t.Context(), []llm.Request{ask("x")}, nil); !errors.Is(err, llm.ErrUnsupported) {
		t.Errorf("error %v, want ErrUnsupported", err)
	}
}

func TestCalibrate_cancelledIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	batch := make([]llm.Request, 50)
	for i := range batch {
		batch[i] = ask("tea")
	}
	_, err := chooser(1).Calibrate(ctx, batch, func(int, int) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled: half a calibration is a wrong one", err)
	}
}

// fixedScores is a chooser with the same log-probabilities for every question.
type fixedScores struct {
	llmtest.Script
	logprobs []float64
}

func (f *fixedScores) Score(context.Context, llm.Request, []string) ([]llm.Score, error) {
	out := make([]llm.Score, len(f.logprobs))
	for i, lp := range f.logprobs {
		out[i].Logprob = lp
	}
	return out, nil
}

func known(name string, quality float64, shares ...float64) ensemble.Member {
	m := &fixedScores{Script: llmtest.Script{Name: name}}
	for _, s := range shares {
		m.logprobs = append(m.logprobs, math.Log(s))
	}
	return ensemble.Member{Model: m, Choices: []string{"tea", "coffee", "milk"}, Quality: quality}
}

func TestWeighted_multipliesKnownDistributions(t *testing.T) {
	// Each alone would say something else; both find coffee likely.
	a, b := known("a", 8, 0.5, 0.45, 0.05), known("b", 8, 0.05, 0.45, 0.5)
	out, err := queryWith(t, ensemble.Options{AllVotes: true}, ensemble.Weighted, a, b)
	if err != nil {
		t.Fatal(err)
	}
	want := 0.45 * 0.45 / (0.45*0.45 + 2*0.5*0.05)
	if out.Answer != "coffee" || !near(out.Confidence, want) {
		t.Errorf("%q with %g, want coffee with %g", out.Answer, out.Confidence, want)
	}
	// A member that knows less counts for less; what it rules out is not ruled out.
	out, err = queryWith(t, ensemble.Options{AllVotes: true}, ensemble.Weighted, known("a", 9, 0.9, 0.1, 0), known("b", 4, 0.2, 0.8, 0))
	if err != nil || out.Answer != "tea" || out.Confidence > 0.9 {
		t.Errorf("%q with %g, %v", out.Answer, out.Confidence, err)
	}
}

func TestConsensus_byWhatMembersStandFor(t *testing.T) {
	// With one sample each a draw would often miss what both find likeliest.
	for seed := range int64(20) {
		e, err := ensemble.New(ensemble.Consensus, known("a", 8, 0.5, 0.3, 0.2), known("b", 8, 0.5, 0.2, 0.3))
		if err != nil {
			t.Fatal(err)
		}
		req := ask("x")
		req.Sampling.Seed = new(seed)
		out, err := e.Query(t.Context(), req)
		if err != nil || out.Answer != "tea" || out.FinishReason != llm.FinishStop || !near(out.Confidence, 0.5) || len(out.Models()) != 2 {
			t.Fatalf("seed %d: %q with %g by %v, %v", seed, out.Answer, out.Confidence, out.Models(), err)
		}
	}
}

func TestChoices_modelsDrawApart(t *testing.T) {
	a, b := known("a", 5, 0.5, 0.5, 0), known("b", 5, 0.5, 0.5, 0)
	a.Samples, b.Samples = 200, 200
	req := ask("x")
	req.Sampling.Seed = new(int64(1))
	e, err := ensemble.Options{AllVotes: true}.New(ensemble.Vote, a, b)
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.Query(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for i := range 200 {
		if out.Candidates[i].Text == out.Candidates[200+i].Text {
			same++
		}
	}
	if same > 140 {
		t.Errorf("%d of 200 samples are the same with one seed: votes must be independent", same)
	}
}
