package clean_test

import (
	"math/rand/v2"
	"strings"
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

// BenchmarkQuarantine looks at prose of 1 KiB, in which there is nothing to find.
func BenchmarkQuarantine(b *testing.B) {
	q, err := clean.NewQuarantine()
	if err != nil {
		b.Fatal(err)
	}
	ex := example("Why is that so?", strings.Repeat("It rained on 14 days in the month before, and the key to room 9 is at the desk. ", 13))
	b.SetBytes(int64(len(ex.Response)))
	for b.Loop() {
		if r, detail := q.Holds(ex); r != "" {
			b.Fatal(detail)
		}
	}
}
