package clean_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// document is a random text.
type document struct {
	text  string
	words []string
}

// synthetic returns n texts of so many words, drawn from 5,000.
func synthetic(rng *rand.Rand, n, size int) []document {
	out := make([]document, n)
	for i := range out {
		w := make([]string, size)
		for j := range w {
			w[j] = word(rng)
		}
		out[i] = document{strings.Join(w, " "), w}
	}
	return out
}

func word(rng *rand.Rand) string { return fmt.Sprintf("word%d", rng.IntN(5000)) }

// mutate puts n other words into a text.
func mutate(rng *rand.Rand, words []string, n int) string {
	w := slices.Clone(words)
	for range n {
		w[rng.IntN(len(w))] = word(rng)
	}
	return strings.Join(w, " ")
}
