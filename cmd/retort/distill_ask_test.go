package main

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"retort/dataset"
	"retort/ensemble"
	"retort/llm"
	"retort/llm/llmtest"
	"retort/llm/wrap"
	"retort/remote"
)

func TestIsRefused(t *testing.T) {
	says := func(status int) error { return &remote.StatusError{Status: status, Provider: "p"} }
	for want, errs := range map[bool][]error{
		true: {says(401), says(404), says(429), says(500), says(503), fmt.Errorf("generate: %w (asked 2 times)", says(429)),
			&wrap.OpenError{Model: "m"}, fmt.Errorf("images: %w", llm.ErrUnsupported)},
		false: {says(408), says(502), says(504), remote.ErrConnection, errors.New("reset"), fmt.Errorf("%w: %w", llm.ErrIncomplete, says(500))},
	} {
		for _, err := range errs {
			if isRefused(err) != want {
				t.Errorf("%v: refused is %v", err, !want)
			}
		}
	}
}

// TestCostOf holds what counts as spent where not every member came through.
func TestCostOf(t *testing.T) {
	price := ensemble.Price{OutputPer1K: 1} // so that 100 tokens are at most 0.10
	messages := []llm.Message{llm.User("hi")}
	refused, lost := &remote.StatusError{Status: 429}, errors.New("reset")
	for name, c := range map[string]struct {
		samples int
		members []ensemble.MemberResult
		known   float64
		want    float64
	}{
		"all answered":         {1, []ensemble.MemberResult{{Samples: 1, CostUSD: 0.01}, {Samples: 1, CostUSD: 0.02}}, 0.03, 0.03},
		"one refused":          {1, []ensemble.MemberResult{{Samples: 1, CostUSD: 0.01}, {Err: refused}}, 0.01, 0.01},
		"one was cut off":      {1, []ensemble.MemberResult{{Samples: 1, CostUSD: 0.01}, {Err: lost}}, 0.01, 0.11},
		"one was not asked":    {1, []ensemble.MemberResult{{Samples: 1, CostUSD: 0.01}, {Skipped: true}}, 0.01, 0.01},
		"one was not awaited":  {2, []ensemble.MemberResult{{Samples: 2, CostUSD: 0.01}, {Skipped: true, Samples: 1, CostUSD: 0.05, Latency: time.Second}}, 0.06, 0.21},
		"second of two failed": {2, []ensemble.MemberResult{{Samples: 2, CostUSD: 0.01}, {Err: refused}}, 0.01, 0.21},
		"with a judge":         {1, []ensemble.MemberResult{{Samples: 1, CostUSD: 0.01}}, 0.015, 0.015},
	} {
		var members []ensemble.Member
		for range c.members {
			members = append(members, ensemble.Member{Price: price, Samples: c.samples})
		}
		if got := costOf(ensemble.Outcome{Members: c.members, CostUSD: c.known}, members, messages, 100); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("%s: $%g, want $%g", name, got, c.want)
		}
	}
}

// TestCostOf_uncounted holds that a service that does not say how many tokens it
// wrote, or says what cannot be, costs the most that it can.
func TestCostOf_uncounted(t *testing.T) {
	members := []ensemble.Member{{Price: ensemble.Price{OutputPer1K: 1}, Samples: 1}, {Price: ensemble.Price{OutputPer1K: 1}, Samples: 1}}
	counted := ensemble.Candidate{Model: "a", Usage: llm.Usage{InputTokens: 5, OutputTokens: 10}}
	for name, u := range map[string]llm.Usage{"none": {}, "below none": {InputTokens: 5, OutputTokens: -1000}} {
		o := ensemble.Outcome{Candidates: []ensemble.Candidate{counted, {Model: "b", Usage: u}},
			Members: []ensemble.MemberResult{{Model: "a", Samples: 1, CostUSD: 0.01}, {Model: "b", Samples: 1, CostUSD: float64(u.OutputTokens) / 1000}}}
		o.CostUSD = o.Members[0].CostUSD + o.Members[1].CostUSD
		if got := costOf(o, members, []llm.Message{llm.User("hi")}, 100); math.Abs(got-0.11) > 1e-9 {
			t.Errorf("%s: $%g, want $0.11", name, got)
		}
	}
}

func TestMostOf(t *testing.T) {
	members := []ensemble.Member{{Price: ensemble.Price{InputPer1K: 1}, Samples: 2}, {Price: ensemble.Price{OutputPer1K: 10}}, {}}
	messages := []llm.Message{llm.User("0123456789"), llm.User("0123456789")}
	want := 2*float64(tokensRequest+2*tokensAround+20)/1000 + 10*50/1000.0
	if got := mostOf(members, messages, 50); got < want-1e-9 || got > want+1e-9 {
		t.Errorf("$%g, want $%g", got, want)
	}
}

// TestDistill_ask follows what comes of a question into ledger, store and log.
func TestDistill_ask(t *testing.T) {
	down := errors.New("down")
	yes, no := func() llm.Model { return &llmtest.Script{Name: "yes", Answers: []string{"yes"}} }, func() llm.Model { return &llmtest.Script{Name: "no", Answers: []string{"no"}} }
	broken := func() llm.Model { return &llmtest.Script{Name: "broken", Err: down} }
	for name, c := range map[string]struct {
		strategy       ensemble.Strategy
		members        []llm.Model
		maxTokens      int
		result, reason string
		err            error
	}{
		"agreed":              {ensemble.Consensus, []llm.Model{yes(), yes()}, 9, resultKept, "", nil},
		"not agreed":          {ensemble.Consensus, []llm.Model{yes(), no()}, 9, resultNotKept, reasonNoConsensus, nil},
		"one could not agree": {ensemble.Consensus, []llm.Model{yes(), broken()}, 9, resultFailed, "", down},
		"one did not vote":    {ensemble.BestOfN, []llm.Model{yes(), broken()}, 9, resultKept, "", nil},
		"half and half":       {ensemble.Vote, []llm.Model{yes(), no()}, 9, resultNotKept, reasonLowQuality, nil},
		"nobody answers":      {ensemble.Vote, []llm.Model{broken()}, 9, resultFailed, "", down},
		"empty":               {ensemble.Vote, []llm.Model{&llmtest.Script{Answers: []string{" "}}}, 9, resultNotKept, reasonEmpty, nil},
		"cut short":           {ensemble.Vote, []llm.Model{&llmtest.Script{Answers: []string{"one two three four"}}}, 2, resultNotKept, reasonCutShort, nil},
	} {
		r := withConfig(t, "")
		d := &distill{retort: r, job: distillJob{ID: "run", Settings: distillSettings{MaxTokens: c.maxTokens}}, ensembles: map[string]*ensemble.Ensemble{}}
		for _, m := range c.members {
			d.members = append(d.members, ensemble.Member{Model: m, Samples: 1, Price: ensemble.Price{OutputPer1K: 1}})
		}
		var err error
		if d.ensembles["t"], err = ensemble.New(c.strategy, d.members...); err != nil {
			t.Fatal(err)
		}
		store, err := r.store()
		if err != nil {
			t.Fatal(err)
		}
		a := d.ask(t.Context(), task{Messages: []llm.Message{llm.User("?")}, TaskType: "t", Of: "sha256:seed"})
		if a.entry.Result != c.result || a.entry.Reason != c.reason || !errors.Is(a.err, c.err) || a.fatal != nil || a.open || a.entry.Detail == "" {
			t.Errorf("%s: %+v", name, a)
		}
		if a.entry.Cost <= 0 || a.entry.Cost > mostOf(d.members, a.task.Messages, c.maxTokens) {
			t.Errorf("%s: it cost $%g", name, a.entry.Cost)
		}
		log, err := allQueries(t.Context(), store)
		if err != nil || len(log) != 1 || log[0].ExampleID != a.entry.Example {
			t.Errorf("%s: log %+v, %v", name, log, err)
		}
		if c.result == resultKept {
			ex, err := store.Get(t.Context(), a.entry.Example)
			if err != nil || ex.Source.Kind != "distill" || ex.Source.Name != "run" || ex.Source.VariationOf != "sha256:seed" || ex.Response != "yes" {
				t.Errorf("%s: %+v, %v", name, ex, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestDistill_ask_storeFails holds that what was paid is booked even where the
// answer cannot be kept.
func TestDistill_ask_storeFails(t *testing.T) {
	r := withConfig(t, "")
	if _, err := r.store(); err != nil {
		t.Fatal(err)
	}
	if err := r.openedStore.Close(); err != nil {
		t.Fatal(err)
	}
	m := ensemble.Member{Model: &llmtest.Script{Answers: []string{"yes"}}, Price: ensemble.Price{OutputPer1K: 1}}
	e, err := ensemble.New(ensemble.Vote, m)
	if err != nil {
		t.Fatal(err)
	}
	d := &distill{retort: r, members: []ensemble.Member{m}, ensembles: map[string]*ensemble.Ensemble{"t": e}}
	a := d.ask(t.Context(), task{Messages: []llm.Message{llm.User("?")}, TaskType: "t"})
	if !errors.Is(a.fatal, dataset.ErrClosed) || a.entry.Result != resultFailed || a.entry.Cost <= 0 {
		t.Errorf("%+v", a)
	}
}

func TestSeedOffset(t *testing.T) {
	a, b := seedOffset(textDigest("a")), seedOffset(textDigest("b"))
	if a == b || a < 0 || a%seedStride != 0 || seedOffset("odd") != 0 {
		t.Error(a, b)
	}
}

func TestDistillJob_differs(t *testing.T) {
	job := distillJob{ID: "r", Settings: distillSettings{Strategy: "vote", MaxTokens: 5, Members: []string{"a"}}}
	all := func(string) bool { return true }
	if got := job.differs(job.Settings, all); got != "" {
		t.Error(got)
	}
	given := job.Settings
	given.MaxTokens = 6
	if got := job.differs(given, all); got != "--max-tokens is 6, but in run r it is 5" {
		t.Error(got)
	}
	if got := job.differs(given, func(flag string) bool { return flag != "max-tokens" }); got != "" {
		t.Error(got)
	}
}

func TestLastRun(t *testing.T) {
	done, left := &distillView{}, &distillView{Left: 1}
	runs := []savedRun{{job: distillJob{ID: "1", File: "f"}, result: left}, {job: distillJob{ID: "2", File: "f"}, result: done}, {job: distillJob{ID: "3", File: "g"}}}
	if run, ok := lastRun(runs, "f"); !ok || run.job.ID != "1" {
		t.Error(run)
	}
	if run, ok := lastRun(append(runs, savedRun{job: distillJob{ID: "4", File: "f"}}), "f"); !ok || run.job.ID != "4" {
		t.Error(run)
	}
	if run, ok := lastRun(runs[1:], "f"); !ok || run.job.ID != "2" {
		t.Error(run)
	}
	if _, ok := lastRun(runs, "h"); ok {
		t.Error("a run over another file")
	}
}
