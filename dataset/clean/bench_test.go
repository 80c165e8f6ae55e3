package clean_test

import (
	"math/rand/v2"
	"testing"

	"retort/dataset"
	"retort/dataset/clean"
)

// BenchmarkSelect is the whole way for 10,000 examples of 50 words, 200 held-out
// items and a budget of 500.
func BenchmarkSelect(b *testing.B) {
	const n = 10_000
	rng := rand.New(rand.NewPCG(15, 16))
	examples := make([]dataset.Example, 0, n)
	for _, d := range synthetic(rng, n, 50) {
		examples = append(examples, example(d.text, "ok"))
	}
	opts := clean.Options{Parameters: clean.Parameters{Budget: 500}}
	for _, d := range synthetic(rng, 200, 50) {
		opts.HeldOut = append(opts.HeldOut, clean.HeldOut{Name: "item", Question: d.text})
	}
	for b.Loop() {
		if _, err := clean.Select(b.Context(), examples, opts); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "examples/s")
}
