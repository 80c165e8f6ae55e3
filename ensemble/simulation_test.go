package ensemble_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"retort/ensemble"
	"retort/llm"
	"retort/llm/llmtest"
)

const (
	simItems  = 2000
	simLabels = 15
)

// provider gives the right label but for a share of independent errors, when it
// gives any other with the same probability. The question is the item's number.
func provider(name string, errorRate float64, seed uint64) *llmtest.Script {
	return &llmtest.Script{Name: name, Reply: func(req llm.Request) string {
		item, _ := strconv.Atoi(req.Messages[0].Content)
		rng := rand.New(rand.NewPCG(seed, uint64(item)))
		label := simLabel(item)
		if rng.Float64() < errorRate {
			label = (label + 1 + rng.IntN(simLabels-1)) % simLabels
		}
		return fmt.Sprint("label ", label)
	}}
}

func simLabel(item int) int { return int(rand.New(rand.NewPCG(99, uint64(item))).IntN(simLabels)) }

// simMembers are the three providers, with prices 1 : 2 : 10. qualities may be
// nil: nothing is known of them then.
func simMembers(qualities []float64) []ensemble.Member {
	var out []ensemble.Member
	for i, p := range []struct{ price, errors float64 }{{1, 0.30}, {2, 0.25}, {10, 0.20}} {
		m := priced(provider(fmt.Sprintf("p%d", i), p.errors, uint64(i+1)), p.price/1000, 0)
		if qualities != nil {
			m.Quality = qualities[i]
		}
		out = append(out, m)
	}
	return out
}

type simResult struct {
	accuracy, precision, coverage, cost float64
	outcomes                            []ensemble.Outcome
}

func simulate(t *testing.T, s ensemble.Strategy, members []ensemble.Member) (r simResult) {
	t.Helper()
	e, err := ensemble.Options{AllVotes: true}.New(s, members...)
	if err != nil {
		t.Fatal(err)
	}
	right, answered := 0.0, 0.0
	for item := range simItems {
		out, err := e.Query(t.Context(), ask(strconv.Itoa(item)))
		if err != nil && !errors.Is(err, ensemble.ErrNoConsensus) {
			t.Fatal(err)
		}
		r.cost += out.CostUSD
		r.outcomes = append(r.outcomes, out)
		if err != nil {
			continue
		}
		answered++
		if out.Answer == fmt.Sprint("label ", simLabel(item)) {
			right++
		}
	}
	r.accuracy, r.precision, r.coverage = right/simItems, right/answered, answered/simItems
	return r
}

// TestThreeProviders holds the strategies to what they promise, over providers
// whose errors are known and independent.
func TestThreeProviders(t *testing.T) {
	known := []float64{7, 7.5, 8}
	all := simulate(t, ensemble.Weighted, simMembers(known))
	if all.accuracy < 0.88 {
		t.Errorf("weighted: %.1f %% right, want 88 or more", 100*all.accuracy)
	}
	con := simulate(t, ensemble.Consensus, simMembers(known))
	if con.precision < 0.98 || con.coverage < 0.38 {
		t.Errorf("consensus: %.1f %% right at %.1f %% coverage, want 98 at 38", 100*con.precision, 100*con.coverage)
	}
	cas := simulate(t, ensemble.Cascade, simMembers(known))
	if cas.cost > 0.62*all.cost || cas.accuracy < all.accuracy-0.01 {
		t.Errorf("cascade: %.1f %% of the cost for %.1f %% right, want 62 for at least %.1f",
			100*cas.cost/all.cost, 100*cas.accuracy, 100*all.accuracy-1)
	}
	t.Logf("weighted %.1f %%; consensus %.1f %% at %.1f %%; cascade %.1f %% at %.1f %% of the cost",
		100*all.accuracy, 100*con.precision, 100*con.coverage, 100*cas.accuracy, 100*cas.cost/all.cost)
}

// learnFrom is what outcomes alone, without a single right answer or rating, tell
// of the members.
func learnFrom(outcomes []ensemble.Outcome) []float64 {
	skills := ensemble.Skills{}
	for _, o := range outcomes {
		backed := map[string]bool{}
		for _, m := range o.Members {
			backed[m.Model] = m.Backs(o)
		}
		skills.Learn("sim", 0, backed)
	}
	var out []float64
	for i := range 3 {
		out = append(out, 10*skills.Of(fmt.Sprintf("p%d", i), "sim", 5).Mean())
	}
	return out
}

func TestThreeProviders_weightsLearntFromOutcomesAlone(t *testing.T) {
	first := simulate(t, ensemble.Weighted, simMembers(nil)) // every member is worth the same
	quality := learnFrom(first.outcomes)
	quality = learnFrom(simulate(t, ensemble.Weighted, simMembers(quality)).outcomes)
	if !slices.IsSorted(quality) {
		t.Errorf("qualities %.2f, want them in the order of the members' accuracies", quality)
	}
	learnt, known := simulate(t, ensemble.Weighted, simMembers(quality)), simulate(t, ensemble.Weighted, simMembers([]float64{7, 7.5, 8}))
	if learnt.accuracy < 0.88 || learnt.accuracy < known.accuracy-0.01 {
		t.Errorf("with learnt weights %.1f %% right, with known ones %.1f %%", 100*learnt.accuracy, 100*known.accuracy)
	}
	t.Logf("before %.1f %%, learnt qualities %.2f, then %.1f %%; known weights %.1f %%",
		100*first.accuracy, quality, 100*learnt.accuracy, 100*known.accuracy)
}

func TestSkills(t *testing.T) {
	s := ensemble.Skills{}
	if got := s.Of("m", "code", 8).Mean(); !near(got, 0.8) {
		t.Errorf("without outcomes the catalogue's score counts: %g", got)
	}
	if a, b := s.Of("m", "code", 8).Spread(), s.Of("m", "code", 5).Spread(); a <= 0 || b <= a {
		t.Errorf("spreads %g and %g", a, b)
	}
	for range 30 {
		s.Learn("code", 0, map[string]bool{"m": false, "n": true, "o": true})
		s.Learn("code", 0, map[string]bool{"m": true, "n": false, "o": false}) // alone: tells nothing
	}
	if got := s.Of("m", "code", 8).Mean(); !near(got, 8.0/40) {
		t.Errorf("after 30 losses %g, want 0.2", got)
	}
	if got := s.Of("m", "creative", 8).Mean(); !near(got, 0.8) {
		t.Errorf("another task type learnt from them: %g", got)
	}
	s = ensemble.Skills{}
	s.Learn("x", 5, map[string]bool{"a": true, "b": false})
	s.Learn("x", 1, map[string]bool{"c": true, "d": false})
	a, b, c, d := s.Of("a", "x", 5).Mean(), s.Of("b", "x", 5).Mean(), s.Of("c", "x", 5).Mean(), s.Of("d", "x", 5).Mean()
	if !(a > d && d == 0.5 && d > b && b == c) {
		t.Errorf("after stars %g %g %g %g", a, b, c, d)
	}
}
