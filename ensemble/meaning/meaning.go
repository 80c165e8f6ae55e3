// Package meaning says when two answers are the same: numbers, labels, code and,
// with vectors of a model, prose in other words.
//
// Key is enough for closed answers; for prose call Join over the keys that are
// Prose. The package asks no model itself.
package meaning

import (
	"fmt"
	"slices"
	"strings"
)

// Key returns the form in which answers are compared without a model: code by
// its tokens, so that layout and comments do not count; anything else as
// Normalize has it, with labels that differ only in - and _ alike.
func Key(answer string) string {
	if code, ok := codeOf(answer); ok {
		return "code:" + code
	}
	s := Normalize(answer)
	if !strings.Contains(s, " ") && strings.ContainsAny(s, "_-") && !looksNumeric(s) {
		s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '_' || r == '-' }), " ")
	}
	return s
}

// proseWords is how many words make an answer prose, whose meaning can be the
// same in other words; labels and numbers are shorter.
const proseWords = 6

// sameMeaning is the cosine similarity from which two answers in prose mean the
// same, given that their numbers and negations are the same.
const sameMeaning = 0.85

// Prose reports whether a key is prose, which Join may find the same as another.
func Prose(key string) bool {
	return !strings.HasPrefix(key, "code:") && len(strings.Fields(key)) >= proseWords
}

// Join maps each key to the first of its cluster, by vectors of length 1 in the
// order of keys. A key joins a cluster
// only if it is close to every one in it, so that clusters do not grow by a
// chain of small steps.
func Join(keys []string, vectors [][]float32) map[string]string {
	var clusters [][]int
	out := map[string]string{}
	for i, key := range keys {
		at := slices.IndexFunc(clusters, func(members []int) bool {
			return !slices.ContainsFunc(members, func(j int) bool {
				return dot(vectors[i], vectors[j]) < sameMeaning || facts(key) != facts(keys[j])
			})
		})
		if at < 0 {
			at = len(clusters)
			clusters = append(clusters, nil)
		}
		clusters[at] = append(clusters[at], i)
		out[key] = keys[clusters[at][0]]
	}
	return out
}

func dot(a, b []float32) float64 {
	var sum float64
	for i := range min(len(a), len(b)) {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// negations turn a statement round, which embeddings hardly notice.
var negations = []string{"no", "not", "never", "none", "nor", "cannot", "without"}

// facts are the numbers in a text and whether it is negated an odd number of
// times: two texts that differ in these do not mean the same.
func facts(text string) string {
	var numbers []string
	negated := false
	for word := range strings.FieldsSeq(text) {
		word = Normalize(word)
		if looksNumeric(word) {
			numbers = append(numbers, word)
		}
		if slices.Contains(negations, word) || strings.HasSuffix(word, "n't") || strings.HasSuffix(word, "n’t") {
			negated = !negated
		}
	}
	slices.Sort(numbers)
	return fmt.Sprint(negated, numbers)
}
