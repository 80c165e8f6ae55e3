package bench

import (
	"strings"
	"testing"
)

func rounds(ours, peer []float64) []Round {
	var out []Round
	for i := range ours {
		out = append(out, Round{Work: "w", Round: i, Arms: map[string]Figure{
			"ours": {Seconds: ours[i], OutputTokens: 8}, "peer": {Seconds: peer[i], OutputTokens: 8}}})
	}
	return out
}

var wall = Row{Name: "n", Work: "w", Ours: "ours", Peer: "peer", Figure: WallTime, Unit: "s", Goal: AtMost, Target: 0.6}

func TestRow_isTheMedianOfTheRoundsRatios(t *testing.T) {
	// The median of the ratios, not the ratio of the medians: 1 against 2.
	res := wall.Result(rounds([]float64{1, 4, 10}, []float64{2, 8, 10}), 1)
	if res.Error != "" || res.Ratio != 0.5 || res.Low != 0.5 || res.High != 1 || !*res.Holds || *res.Target != 0.6 {
		t.Errorf("%+v", res)
	}
	if res.Ours != 4 || res.PeerFigure != 8 || len(res.Ratios) != 3 {
		t.Errorf("%+v", res)
	}
}

func TestRow_holds(t *testing.T) {
	for _, tc := range []struct {
		goal   Goal
		target float64
		want   bool
	}{
		{AtMost, 0.5, true}, {AtMost, 0.49, false}, {AtLeast, 0.5, true}, {AtLeast, 0.51, false},
		{Equal, 0.5, true}, {Equal, 0.45, true}, {Equal, 1, false},
	} {
		row := wall
		row.Goal, row.Target = tc.goal, tc.target
		res := row.Result(rounds([]float64{4, 5, 6}, []float64{10, 10, 10}), 1)
		if *res.Holds != tc.want {
			t.Errorf("%s %g of %+v holds: %t", tc.goal, tc.target, res, *res.Holds)
		}
	}
}

func TestRow_withoutTarget(t *testing.T) {
	row := wall
	row.Goal = None
	if res := row.Result(rounds([]float64{1}, []float64{2}), 1); res.Target != nil || res.Holds != nil || res.Ratio != 0.5 {
		t.Errorf("%+v", res)
	}
}

func TestRow_fails(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Round)
		want   string
	}{
		"counts of answers": {func(r *Round) { r.Arms["peer"] = Figure{Seconds: 1, OutputTokens: 7} }, "round 1: 8 output tokens against 7"},
		"counts of prompts": {func(r *Round) { r.Arms["peer"] = Figure{Seconds: 1, OutputTokens: 8, InputTokens: 3} }, "round 1: 0 prompt tokens against 3"},
		"an arm":            {func(r *Round) { r.Failed = map[string]string{"peer": "no route"} }, "round 1: peer: no route"},
		"nothing measured":  {func(r *Round) { r.Arms["ours"] = Figure{OutputTokens: 8} }, "round 1: nothing was measured"},
	} {
		all := rounds([]float64{1, 1}, []float64{2, 2})
		tc.change(&all[1])
		res := wall.Result(all, 1)
		if res.Error != tc.want || *res.Holds {
			t.Errorf("%s: error %q, holds %t; want %q", name, res.Error, *res.Holds, tc.want)
		}
	}
	if res := wall.Result(nil, 1); !strings.Contains(res.Error, "no round") || *res.Holds {
		t.Errorf("without rounds: %+v", res)
	}
}

func TestRow_leavesOutDroppedRounds(t *testing.T) {
	all := rounds([]float64{9, 1}, []float64{1, 2})
	all[0].Dropped = true
	if res := wall.Result(all, 1); res.Ratio != 0.5 || len(res.Ratios) != 1 {
		t.Errorf("%+v", res)
	}
}

func TestRow_comparesWithABar(t *testing.T) {
	row := Row{Name: "n", Work: "w", Ours: "ours", Bar: 4, Figure: WallTime, Unit: "s", Goal: AtMost, Target: 1}
	res := row.Result(rounds([]float64{1, 2, 8}, []float64{0, 0, 0}), 1)
	if res.Error != "" || res.Peer != "bar" || res.Ratio != 0.5 || res.Ours != 2 || res.PeerFigure != 4 || !*res.Holds {
		t.Errorf("%+v", res)
	}
	all := rounds([]float64{1}, []float64{1})
	all[0].Failed = map[string]string{"ours": "no room"}
	if res := row.Result(all, 1); res.Error != "round 0: ours: no room" || *res.Holds {
		t.Errorf("%+v", res)
	}
}

func TestRow_skipped(t *testing.T) {
	row := wall
	row.Skip = "no Python"
	res := row.Result(rounds([]float64{1}, []float64{1}), 1)
	if res.Skipped != "no Python" || res.Holds != nil || res.Target == nil || res.Error != "" || len(res.Ratios) != 0 {
		t.Errorf("%+v", res)
	}
}
