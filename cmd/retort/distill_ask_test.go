package main

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"retort/ensemble"
	"retort/llm"
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

func TestMostOf(t *testing.T) {
	members := []ensemble.Member{{Price: ensemble.Price{InputPer1K: 1}, Samples: 2}, {Price: ensemble.Price{OutputPer1K: 10}}, {}}
	messages := []llm.Message{llm.User("0123456789"), llm.User("0123456789")}
	want := 2*float64(tokensRequest+2*tokensAround+20)/1000 + 10*50/1000.0
	if got := mostOf(members, messages, 50); got < want-1e-9 || got > want+1e-9 {
		t.Errorf("$%g, want $%g", got, want)
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
