package trainer

import (
	"math"
	"strings"
	"testing"
)

// The values are those of R. G. Newcombe, Statistics in Medicine 17 (1998), table I.
func TestWilson(t *testing.T) {
	for _, tc := range []struct {
		k, n      int
		low, high float64
	}{
		{81, 263, 0.2553, 0.3662},
		{15, 148, 0.0624, 0.1605},
		{0, 20, 0, 0.1611},
		{1, 29, 0.0061, 0.1718},
		{29, 29, 0.8830, 1},
		{0, 0, 0, 1},
	} {
		low, high := wilson(tc.k, tc.n)
		if math.Abs(low-tc.low) > 5e-5 || math.Abs(high-tc.high) > 5e-5 {
			t.Errorf("wilson(%d, %d) = %.4f, %.4f; want %.4f, %.4f", tc.k, tc.n, low, high, tc.low, tc.high)
		}
	}
}

// The values are exact binomial tails, summed as fractions.
func TestMcNemar(t *testing.T) {
	for _, tc := range []struct {
		wins, losses int
		want         float64
	}{
		{0, 0, 1}, {0, 4, 1}, {3, 3, 0.65625}, {5, 0, 0.03125}, {9, 3, 0.072998046875},
		{60, 12, 4.0277492633705524e-09}, {600, 400, 1.3642320780330092e-10}, {4000, 3800, 0.012119191621894083},
	} {
		if got := mcnemar(tc.wins, tc.losses); math.Abs(got-tc.want) > 1e-9*tc.want {
			t.Errorf("mcnemar(%d, %d) = %v, want %v", tc.wins, tc.losses, got, tc.want)
		}
	}
}

// reports returns two reports in which the first wins and loses so often; of the
// other items both have half right.
func reports(n, wins, losses int) (candidate, reference Report) {
	candidate, reference = Report{Model: "new", N: n}, Report{Model: "old", N: n}
	for i := range n {
		a, b := i < wins, i >= wins && i < wins+losses
		if i >= wins+losses {
			a, b = i%2 == 0, i%2 == 0
		}
		for rep, right := range map[*Report]bool{&candidate: a, &reference: b} {
			rep.Answers = append(rep.Answers, Given{Correct: right})
			if right {
				rep.Correct++
			}
			rep.Accuracy = float64(rep.Correct) / float64(n)
		}
	}
	return candidate, reference
}

func TestCompare(t *testing.T) {
	for _, tc := range []struct {
		name            string
		n, wins, losses int
		opts            GateOptions
		passed          bool
		reason          string
	}{
		{"better", 240, 60, 12, GateOptions{}, true,
			"better: 60.0 % right against 40.0 % on 240 held-out items, 60 gained and 12 lost (p = 4e-09)"},
		{"just better", 30, 5, 0, GateOptions{}, true, "better: "},
		{"stricter", 30, 5, 0, GateOptions{Alpha: 0.01}, false, "not decided: the two differ on too few items ("},
		{"by chance", 240, 9, 3, GateOptions{}, false, "no better than chance would have it: "},
		{"equal", 240, 20, 20, GateOptions{}, false, "no better than chance would have it: "},
		{"worse", 240, 12, 60, GateOptions{}, false, "worse: "},
		{"the same", 240, 0, 0, GateOptions{}, false, "not decided: the two differ on too few items ("},
		{"few differences", 240, 4, 0, GateOptions{}, false, "not decided: the two differ on too few items ("},
		{"few items", 29, 29, 0, GateOptions{}, false, "not decided: 29 held-out items are too few, 30 are needed ("},
		{"few items will do", 29, 29, 0, GateOptions{MinItems: 10}, true, "better: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			candidate, reference := reports(tc.n, tc.wins, tc.losses)
			g, err := Compare(candidate, reference, tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			if g.Passed != tc.passed || !strings.HasPrefix(g.Reason, tc.reason) || strings.Contains(g.Reason, "\n") {
				t.Errorf("passed %t, reason %q; want %t, %q", g.Passed, g.Reason, tc.passed, tc.reason)
			}
			if g.Items != tc.n || g.Against != "old" || g.PValue != mcnemar(tc.wins, tc.losses) {
				t.Errorf("gate %+v", g)
			}
		})
	}
}

func TestCompare_refusesDifferentItems(t *testing.T) {
	candidate, reference := reports(40, 10, 0)
	candidate.Items = "sha256:01"
	if _, err := Compare(candidate, reference, GateOptions{}); err == nil {
		t.Error("no error")
	}
}
