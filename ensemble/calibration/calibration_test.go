package calibration_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"retort/ensemble/calibration"
)

// overconfident draws answers whose stated confidence c is right with
// probability c squared.
func overconfident(n int, seed uint64) []calibration.Point {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]calibration.Point, n)
	for i := range out {
		c := rng.Float64()
		out[i].Confidence = c
		if rng.Float64() < c*c {
			out[i].Right = 1
		}
	}
	return out
}

func TestFit_learnsWhatConfidenceMeans(t *testing.T) {
	curve := calibration.Fit(overconfident(4000, 1))
	fresh := overconfident(4000, 2)
	before := calibration.Measure(fresh)
	for i := range fresh {
		fresh[i].Confidence = curve.At(fresh[i].Confidence)
	}
	after := calibration.Measure(fresh)
	if before.ECE < 0.12 || after.ECE > 0.03 || after.Brier >= before.Brier {
		t.Errorf("ECE %.3f -> %.3f, Brier %.3f -> %.3f; want a clear gain on answers not fitted on",
			before.ECE, after.ECE, before.Brier, after.Brier)
	}
	if math.Abs(*after.AUROC-*before.AUROC) > 0.02 {
		t.Errorf("AUROC %.3f -> %.3f: a rising curve keeps the order", *before.AUROC, *after.AUROC)
	}
	for _, x := range []float64{0.3, 0.6, 0.9} {
		if math.Abs(curve.At(x)-x*x) > 0.08 {
			t.Errorf("At(%g) = %.3f, want about %.2f", x, curve.At(x), x*x)
		}
	}
}

// FuzzFit: a curve never falls and never leaves the range of what it saw.
func FuzzFit(f *testing.F) {
	f.Add([]byte{1, 0, 2, 1, 2, 0, 9, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var points []calibration.Point
		for pair := range slices.Chunk(raw, 2) {
			if len(pair) == 2 {
				points = append(points, calibration.Point{Confidence: float64(pair[0]) / 255, Right: float64(pair[1]%3) / 2})
			}
		}
		curve := calibration.Fit(points)
		last := -1.0
		for x := 0.0; x <= 1; x += 0.01 {
			y := curve.At(x)
			if !(y >= last-1e-9) || y < 0 || y > 1 {
				t.Fatalf("At(%g) = %g after %g", x, y, last)
			}
			last = y
		}
		if r := calibration.Measure(points); r.N != len(points) || r.ECE < 0 || r.ECE > 1 {
			t.Fatalf("report %+v of %d points", r, len(points))
		}
	})
}

func TestMeasure_knownValues(t *testing.T) {
	r := calibration.Measure([]calibration.Point{{0.9, 1}, {0.8, 1}, {0.8, 0}, {0.1, 0}})
	if r.N != 4 || math.Abs(r.Brier-(0.01+0.04+0.64+0.01)/4) > 1e-12 {
		t.Errorf("Brier %g of %d", r.Brier, r.N)
	}
	if math.Abs(r.ECE-(0.1/4+0.3/2+0.1/4)) > 1e-12 {
		t.Errorf("ECE %g", r.ECE)
	}
	if *r.AUROC != 0.875 { // of four pairs three are won and one is level
		t.Errorf("AUROC %g, want 0.875", *r.AUROC)
	}
	if calibration.Measure([]calibration.Point{{0.5, 1}}).AUROC != nil {
		t.Error("AUROC of right answers alone is not null")
	}
}

func TestCrossFit_neverSeesItsOwnFold(t *testing.T) {
	// Confidence names the point, so a curve that saw it could repeat its label.
	points := overconfident(400, 3)
	for i := range points {
		points[i].Right = float64(i % 2)
		points[i].Confidence = 0.5 + float64(i%2)*0.001
	}
	same := calibration.CrossFit(points, 2) // fold 0 holds the wrong ones, fold 1 the right ones
	for i, p := range same {
		if (p.Confidence > 0.5) == (points[i].Right > 0.5) {
			t.Fatalf("point %d got %.2f: it knows its own label", i, p.Confidence)
		}
	}
}

func ExampleFit() {
	rated := []calibration.Point{{0.2, 0}, {0.4, 1}, {0.6, 0}, {0.9, 1}, {0.95, 1}} // confidence, rating
	fmt.Printf("%.2f\n", calibration.Fit(rated).At(0.92))
	// Output: 0.86
}
