package bench

import (
	"fmt"
	"math/rand/v2"
)

// What the entries of a list are made of.
var (
	colours = []string{"red", "green", "blue", "white", "black", "yellow", "brown", "grey"}
	stuffs  = []string{"copper", "wooden", "glass", "paper", "silver", "stone", "cotton", "iron"}
	things  = []string{"lamp", "table", "box", "clock", "bowl", "chair", "map", "ring", "key", "book"}
	places  = []string{"the old harbour", "a small village", "the north market", "my uncle", "the school", "a ship", "the museum"}
)

// fillers end a text that lacks a few tokens. They differ: a text that repeats
// itself invites answers that do, and Ollama breaks off after thirty equal tokens.
var fillers = []string{" and", " the", " old", " of", " in", " red", " or", " to"}

// listWords returns the words of a list of at least that many tokens, each with
// the space or line break before it.
func listWords(seed uint64, tokens int) []string {
	rng := rand.New(rand.NewPCG(seed, 2))
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	words := []string{fmt.Sprintf("List %d of what was found.", rng.IntN(1_000_000)), "\n"}
	for i := 1; len(words) < tokens+16; i++ {
		words = append(words, fmt.Sprintf("Item %d:", i), " a", " "+pick(colours), " "+pick(stuffs), " "+pick(things),
			" from", " "+pick(places), ",", fmt.Sprintf(" %d", 10+rng.IntN(90)), " years", " old", ".\n")
	}
	return words
}
