package bench

import (
	"math/rand/v2"
	"slices"
)

// resamples is how often an interval draws from its values: its ends then move
// by less than a hundredth of its width from seed to seed.
const resamples = 4000

// Median returns the middle of values, the mean of the two middle ones where
// there is an even number, 0 where there is none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// Interval returns the bootstrap interval of the median that holds 95 % of the
// resampled medians. One value alone gives an interval without width.
func Interval(values []float64, seed uint64) (low, high float64) {
	if len(values) == 0 {
		return 0, 0
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	medians, draw := make([]float64, resamples), make([]float64, len(values))
	for i := range medians {
		for k := range draw {
			draw[k] = values[rng.IntN(len(values))]
		}
		medians[i] = Median(draw)
	}
	slices.Sort(medians)
	const tail = resamples / 40 // 2.5 % on each side
	return medians[tail], medians[resamples-1-tail]
}
