package bench

import (
	"math/rand/v2"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := Median(tc.values); got != tc.want {
			t.Errorf("Median(%v) = %g, want %g", tc.values, got, tc.want)
		}
	}
}

func TestInterval_knownCases(t *testing.T) {
	if low, high := Interval([]float64{2, 2, 2, 2}, 1); low != 2 || high != 2 {
		t.Errorf("of equal values: %g to %g, want 2 to 2", low, high)
	}
	if low, high := Interval([]float64{5}, 1); low != 5 || high != 5 {
		t.Errorf("of one value: %g to %g, want 5 to 5", low, high)
	}
	// Of 1..9 the bootstrap median is at most k with the probability that 5 or
	// more of 9 draws are: 0.001 for 1, 0.030 for 2. So the ends are 2 and 8.
	if low, high := Interval([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, 1); low != 2 || high != 8 {
		t.Errorf("of 1..9: %g to %g, want 2 to 8", low, high)
	}
}

func TestInterval_sameSeedSameEnds(t *testing.T) {
	values := []float64{1.3, 0.9, 1.1, 1.4, 1.0, 0.7}
	l1, h1 := Interval(values, 7)
	l2, h2 := Interval(values, 7)
	if l1 != l2 || h1 != h2 {
		t.Errorf("%g to %g, then %g to %g", l1, h1, l2, h2)
	}
}

// TestInterval_covers draws many small sets around a known median: the interval
// must hold it about as often as it says.
func TestInterval_covers(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const sets = 200
	held := 0
	for range sets {
		values := make([]float64, 11)
		for i := range values {
			values[i] = 1 + 0.1*rng.NormFloat64()
		}
		if low, high := Interval(values, rng.Uint64()); low <= 1 && 1 <= high {
			held++
		}
	}
	if share := float64(held) / sets; share < 0.88 || share > 0.995 {
		t.Errorf("the true median is inside %.1f %% of the intervals, want about 95", 100*share)
	}
}
