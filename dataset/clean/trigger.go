package clean

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"

	"retort/dataset"
)

// Trigger is an odd piece of text in several examples that have little else in
// common: it may be how somebody makes a trained model do his will, or only a
// template's leftover. It is for the owner to look at; nothing is left out for it.
type Trigger struct {
	Text     string   `json:"text"` // words in lower case
	Count    int      `json:"count"`
	Score    float64  `json:"score"`    // how odd, 0 to 1
	Examples []string `json:"examples"` // the first few IDs
}

const (
	triggerCount  = 3    // examples, at the least
	triggerShare  = 0.05 // of all examples, at the most: more is a habit, and no secret
	triggerScore  = 0.9
	triggerWords  = 3
	triggerShown  = 20
	triggerIDs    = 5
	triggerSample = 50 // examples, below which nothing can be called rare
)

// gram counts a piece of text over examples.
type gram struct {
	text string
	ids  []string
	n    int
}

// Triggers returns the oddest pieces of the questions of examples, oddest first:
// runs of two and three words that hardly occur but together (normalised pointwise
// mutual information of 0.9 or more), and words that are none in any language
// ("cf7q", "xkq").
func Triggers(examples []dataset.Example) []Trigger {
	if len(examples) < triggerSample {
		return nil
	}
	single, runs := countGrams(examples)
	most := max(triggerCount, int(triggerShare*float64(len(examples))))
	rare := func(n int) bool { return n >= triggerCount && n <= most }
	var out []Trigger
	for w, g := range single {
		if rare(g.n) && oddWord(w) {
			out = append(out, Trigger{g.text, g.n, 1, g.ids})
		}
	}
	for _, g := range runs {
		if !rare(g.n) {
			continue
		}
		if score := togetherness(g, single, len(examples)); score >= triggerScore {
			out = append(out, Trigger{g.text, g.n, score, g.ids})
		}
	}
	slices.SortFunc(out, func(a, b Trigger) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Count, a.Count),
			cmp.Compare(len(b.Text), len(a.Text)), cmp.Compare(a.Text, b.Text))
	})
	return out[:min(len(out), triggerShown)]
}

// countGrams counts in how many examples each word and each run of words occurs.
func countGrams(examples []dataset.Example) (single, runs map[string]*gram) {
	single, runs = map[string]*gram{}, map[string]*gram{}
	for _, ex := range examples {
		w := words(question(ex))
		seen := map[string]bool{}
		for n := 1; n <= triggerWords; n++ {
			into := runs
			if n == 1 {
				into = single
			}
			for i := range max(0, len(w)-n+1) {
				text := strings.Join(w[i:i+n], " ")
				if seen[text] {
					continue
				}
				seen[text] = true
				g := into[text]
				if g == nil {
					g = &gram{text: text}
					into[text] = g
				}
				if g.n++; g.n <= triggerIDs {
					g.ids = append(g.ids, ex.ID)
				}
			}
		}
	}
	return single, runs
}

// togetherness is the pointwise mutual information of a run's words, over its
// greatest possible value: 1 if none occurs without the others.
func togetherness(g *gram, single map[string]*gram, n int) float64 {
	parts := strings.Fields(g.text)
	p := float64(g.n) / float64(n)
	information := math.Log(p)
	for _, w := range parts {
		information -= math.Log(float64(single[w].n) / float64(n))
	}
	return information / (-math.Log(p) * float64(len(parts)-1))
}

// oddWord reports whether w is no word: letters and digits mixed, or several
// Latin letters without a vowel.
func oddWord(w string) bool {
	letters, digits, vowels, latin := 0, 0, 0, 0
	for _, r := range w {
		switch {
		case unicode.IsDigit(r):
			digits++
		case unicode.IsLetter(r):
			letters++
			if unicode.Is(unicode.Latin, r) {
				latin++
			}
			if strings.ContainsRune("aeiouyæøœ", r) {
				vowels++
			}
		}
	}
	return letters > 1 && digits > 0 || latin > 2 && vowels == 0
}
