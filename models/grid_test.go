package models

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// onGrid returns n weights on a grid of 16 points.
func onGrid(n int, step float32, r *rand.Rand) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = -7*step + step*float32(r.IntN(16))
	}
	return out
}

func TestToGrid_keepsWhatRoundingWouldTakeBack(t *testing.T) {
	const n, step, added = 32 * 400, 0.02, 0.003 // 0.15 steps: the nearest point is always the old one
	r := rand.New(rand.NewPCG(1, 2))
	before := onGrid(n, step, r)
	row := slices.Clone(before)
	for i := range row {
		row[i] += added
	}
	toGrid(row, before, r)
	mean := 0.0
	for i := range row {
		moved := float64(row[i]-before[i]) / step
		if near := math.Round(moved); math.Abs(moved-near) > 1e-3 || near < 0 || near > 1 {
			t.Fatalf("weight %d moved by %g steps, want 0 or 1", i, moved)
		}
		mean += float64(row[i]-before[i]) / n
	}
	// Four standard errors of the mean of so many draws.
	if far := 4 * step * math.Sqrt(0.15*0.85/n); math.Abs(mean-added) > far {
		t.Errorf("the mean moved by %g, want %g within %g", mean, added, far)
	}
}

func TestToGrid_repeatsItself(t *testing.T) {
	before := onGrid(100, 0.5, rand.New(rand.NewPCG(3, 3)))
	var out [2][]float32
	for i := range out {
		out[i] = slices.Clone(before)
		for j := range out[i] {
			out[i][j] -= 0.2
		}
		toGrid(out[i], before, rand.New(rand.NewPCG(4, 4)))
	}
	if !slices.Equal(out[0], out[1]) {
		t.Error("the same weights give two results")
	}
}

func TestGridStep(t *testing.T) {
	for name, tc := range map[string]struct {
		block []float32
		want  float32
	}{
		"neighbours":       {[]float32{0.75, 0.25, 0.5, 2}, 0.25},
		"gaps":             {[]float32{0, 3, 9}, 3},
		"all the same":     {[]float32{1, 1, 1}, 0},
		"one":              {[]float32{4}, 0},
		"float noise":      {[]float32{1, 1.0000001, 2, 3}, 1},
		"negative, sorted": {[]float32{-4, -2, 0}, 2},
	} {
		if got := gridStep(tc.block); math.Abs(float64(got-tc.want)) > 1e-6 {
			t.Errorf("%s: step %g, want %g", name, got, tc.want)
		}
	}
}
