package models

import (
	"math"
	"math/rand/v2"
	"slices"
)

// gridBlock is how many weights share one scale in the types of coarseTypes.
const gridBlock = 32

// coarseTypes are those whose steps are larger than most of what an adapter
// adds to a weight.
var coarseTypes = []string{"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K"}

// toGrid moves each weight of row, which was before on the grid of a coarse
// type, to a neighbouring point of that grid: up or down at random, so that its
// expected value stays what it is. Rounding to the nearest one instead would
// take back nearly all that was added, since it is less than half a step;
// this way the sum over many weights keeps it.
func toGrid(row, before []float32, r *rand.Rand) {
	for i := 0; i < len(row); i += gridBlock {
		end := min(i+gridBlock, len(row))
		step := gridStep(before[i:end])
		if step == 0 {
			continue
		}
		for j := i; j < end; j++ {
			steps := float64(row[j]-before[j]) / float64(step)
			whole := math.Floor(steps)
			if r.Float64() < steps-whole {
				whole++
			}
			row[j] = before[j] + float32(whole)*step
		}
	}
}

// gridStep returns the distance of the points that the weights of a block lie
// on: the smallest between two of them. 0 if they are all the same.
func gridStep(block []float32) float32 {
	sorted := slices.Sorted(slices.Values(block))
	spread := sorted[len(sorted)-1] - sorted[0]
	step := float32(0)
	for i := 1; i < len(sorted); i++ {
		d := sorted[i] - sorted[i-1]
		// Equal points may differ by the rounding of 32-bit floats.
		if d > spread/1024 && (step == 0 || d < step) {
			step = d
		}
	}
	return step
}
