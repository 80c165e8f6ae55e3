// Package calibration turns a raw measure of confidence into the probability of
// being right, and says how well such probabilities hold.
//
// Fit a Curve on rated answers, apply it with Curve.At, and Measure it on answers
// that it was not fitted on:
//
//	curve := calibration.Fit(rated)
//	report := calibration.Measure(points)
//
// The package knows nothing of models: a Point is two numbers.
package calibration

import (
	"math"
	"slices"
	"sort"
)

// Point is one answer: how sure it was, and how right, each 0 to 1. Right may
// lie between for a rating that is neither.
type Point struct {
	Confidence float64 `json:"confidence"`
	Right      float64 `json:"right"`
}

// Least is how many points a curve is worth fitting on.
const Least = 20

// Curve is a rising step function from raw confidence to probability, straight
// between its knots.
type Curve struct {
	X []float64 `json:"x"` // raw confidence, rising
	Y []float64 `json:"y"` // probability of being right
	N int       `json:"n"` // points it was fitted on
}

// Fit finds the rising function that is closest to points in squares: isotonic
// regression by pooling adjacent violators. Each pool is drawn a little towards
// the mean of all, so that a few points that are all right do not promise
// certainty. Without points the curve is empty, and At returns its argument.
func Fit(points []Point) Curve {
	if len(points) == 0 {
		return Curve{}
	}
	points = slices.Clone(points)
	sort.SliceStable(points, func(i, j int) bool { return points[i].Confidence < points[j].Confidence })
	type pool struct{ x, right, n float64 }
	mean := func(p pool) float64 { return p.right / p.n }
	var pools []pool
	total := 0.0
	for i, p := range points {
		total += p.Right
		if i > 0 && p.Confidence == points[i-1].Confidence { // equal confidence, one probability
			last := &pools[len(pools)-1]
			last.x, last.right, last.n = last.x+p.Confidence, last.right+p.Right, last.n+1
		} else {
			pools = append(pools, pool{p.Confidence, p.Right, 1})
		}
		last := i+1 == len(points) || points[i+1].Confidence != p.Confidence
		for last && len(pools) > 1 && mean(pools[len(pools)-2]) >= mean(pools[len(pools)-1]) {
			a, b := pools[len(pools)-2], pools[len(pools)-1]
			pools = append(pools[:len(pools)-2], pool{a.x + b.x, a.right + b.right, a.n + b.n})
		}
	}
	prior := total / float64(len(points))
	c := Curve{N: len(points)}
	for _, p := range pools {
		c.X = append(c.X, p.x/p.n)
		c.Y = append(c.Y, (p.right+prior)/(p.n+1))
	}
	for i := 1; i < len(c.Y); i++ { // small pools are drawn further than their neighbours
		c.Y[i] = max(c.Y[i], c.Y[i-1])
	}
	return c
}

// At is the probability that goes with a raw confidence.
func (c Curve) At(raw float64) float64 {
	if len(c.X) == 0 {
		return raw
	}
	i, found := slices.BinarySearch(c.X, raw)
	switch {
	case found:
		return c.Y[i]
	case i == 0:
		return c.Y[0]
	case i == len(c.X):
		return c.Y[i-1]
	}
	part := (raw - c.X[i-1]) / (c.X[i] - c.X[i-1])
	return c.Y[i-1] + part*(c.Y[i]-c.Y[i-1])
}

// Bin is the answers within one tenth of confidence.
type Bin struct {
	Low        float64 `json:"low"` // from here to 0.1 above
	N          int     `json:"n"`
	Confidence float64 `json:"confidence"` // mean
	Right      float64 `json:"right"`      // mean
}

// Report says how well confidences hold.
type Report struct {
	N     int      `json:"n"`
	Right float64  `json:"right"` // mean
	ECE   float64  `json:"ece"`   // mean distance of confidence and rightness over ten bins
	Brier float64  `json:"brier"` // mean squared distance, point by point
	AUROC *float64 `json:"auroc"` // how often a right answer is surer than a wrong one; null if all are alike
	Bins  []Bin    `json:"bins"`  // those of the ten with answers in them
}

// Measure reports on points whose confidences were made without them.
func Measure(points []Point) Report {
	r := Report{N: len(points), AUROC: auroc(points)}
	if r.N == 0 {
		return r
	}
	var bins [10]Bin
	for _, p := range points {
		r.Right += p.Right
		r.Brier += (p.Confidence - p.Right) * (p.Confidence - p.Right)
		b := &bins[min(max(int(p.Confidence*10), 0), 9)]
		b.N++
		b.Confidence += p.Confidence
		b.Right += p.Right
	}
	r.Right, r.Brier = r.Right/float64(r.N), r.Brier/float64(r.N)
	for i, b := range bins {
		if b.N == 0 {
			continue
		}
		n := float64(b.N)
		b.Low, b.Confidence, b.Right = float64(i)/10, b.Confidence/n, b.Right/n
		r.ECE += math.Abs(b.Confidence-b.Right) * n / float64(r.N)
		r.Bins = append(r.Bins, b)
	}
	return r
}

// auroc is the probability that an answer more than half right is surer than one
// less than half right; equals count half.
func auroc(points []Point) *float64 {
	sorted := slices.Clone(points)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Confidence < sorted[j].Confidence })
	var below, wrong, right, won float64
	for i := 0; i < len(sorted); {
		var ties, wins float64
		j := i
		for ; j < len(sorted) && sorted[j].Confidence == sorted[i].Confidence; j++ {
			switch {
			case sorted[j].Right > 0.5:
				wins++
			case sorted[j].Right < 0.5:
				ties++
			}
		}
		won += wins * (below + ties/2)
		below += ties
		wrong += ties
		right += wins
		i = j
	}
	if wrong == 0 || right == 0 {
		return nil
	}
	return new(won / (wrong * right))
}

// CrossFit returns points with each confidence replaced by the probability of a
// curve that was fitted on the other folds alone. Point i is in fold i mod folds.
func CrossFit(points []Point, folds int) []Point {
	out := slices.Clone(points)
	for f := range folds {
		var others []Point
		for i, p := range points {
			if i%folds != f {
				others = append(others, p)
			}
		}
		curve := Fit(others)
		for i := f; i < len(points); i += folds {
			out[i].Confidence = curve.At(points[i].Confidence)
		}
	}
	return out
}
