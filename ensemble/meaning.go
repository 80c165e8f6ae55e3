package ensemble

import (
	"context"
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

// cluster gives answers in prose that mean the same one key, by the embedder
// if there is one. Where it fails the answers keep their own keys, and the
// outcome says so.
func (q *query) cluster(ctx context.Context) {
	keys := q.proseKeys()
	if q.opts.Embedder == nil || len(keys) < 2 {
		return
	}
	vectors, err := q.opts.Embedder.Embed(ctx, keys)
	if err == nil && len(vectors) != len(keys) {
		err = fmt.Errorf("%d vectors for %d texts", len(vectors), len(keys))
	}
	if err != nil {
		q.note("meaning was compared by text alone: %s: %v", q.opts.Embedder.ID(), err)
		return
	}
	q.rename(joinClusters(keys, vectors))
	q.out.Method = fmt.Sprintf("agreement by meaning (embeddings of %s)", q.opts.Embedder.ID())
}

// proseKeys are the different keys of answers in prose, in order of appearance.
func (q *query) proseKeys() []string {
	var keys []string
	for _, p := range q.parts {
		for _, c := range p.candidates {
			if p.spread == nil && !strings.HasPrefix(c.Key, "code:") &&
				len(strings.Fields(c.Key)) >= proseWords && !slices.Contains(keys, c.Key) {
				keys = append(keys, c.Key)
			}
		}
	}
	return keys
}

// rename gives candidates the key of their cluster.
func (q *query) rename(cluster map[string]string) {
	for i := range q.parts {
		for j := range q.parts[i].candidates {
			c := &q.parts[i].candidates[j]
			if key, ok := cluster[c.Key]; ok {
				c.Key = key
			}
		}
	}
}

// joinClusters maps each key to the first of its cluster. A key joins a cluster
// only if it is close to every one in it, so that clusters do not grow by a
// chain of small steps.
func joinClusters(keys []string, vectors [][]float32) map[string]string {
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
