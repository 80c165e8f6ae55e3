package ensemble

import (
	"context"
	"math"
	"slices"
	"sync"

	"retort/llm"
)

// crossed has every member that is an llm.Scorer say how likely it finds the
// different answers of the others, and returns the one that they find likeliest
// with its share, 0 to 1. It is false if that was not wanted, or if fewer than
// two members can. Likelihood is counted per byte, so that members with different
// tokens can be compared and length as such earns nothing.
func (q *query) crossed(ctx context.Context) (Candidate, float64, bool) {
	if !q.opts.CrossLikelihood {
		return Candidate{}, 0, false
	}
	ctx, cancel := q.helping(ctx)
	defer cancel()
	rivals := q.rivals()
	perByte := q.crossScores(ctx, rivals)
	if len(perByte) < 2 {
		q.note("cross-likelihood wants two members that can score; there are %d", len(perByte))
		return Candidate{}, 0, false
	}
	mean := make([]float64, len(rivals))
	for i, r := range rivals {
		sum, n := 0.0, 0.0
		for scorer, scores := range perByte {
			if scorer != r.Model { // its own answer is likely to it whatever it is worth
				sum += scores[i]
				n++
			}
		}
		mean[i] = sum / n
	}
	shares := softmax(mean, crossTemperature)
	top := slices.Index(shares, slices.Max(shares))
	q.scoreBy(rivals, shares)
	q.cross = []float64{shares[top]}
	q.out.Method = "cross-likelihood: what the other members find likely, per byte"
	return rivals[top], shares[top], true
}

// crossTemperature is the difference in nats per byte that makes an answer e
// times as good as another.
const crossTemperature = 0.25

// crossScores are each scoring member's log-probabilities per byte of all rivals.
// A member that fails is left out and named.
func (q *query) crossScores(ctx context.Context, rivals []Candidate) map[string][]float64 {
	texts := make([]string, len(rivals))
	for i, r := range rivals {
		texts[i] = r.Text
	}
	out := map[string][]float64{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, m := range q.members {
		s, ok := llm.As[llm.Scorer](m.Model)
		if !ok {
			continue
		}
		wg.Go(func() {
			scores, err := s.Score(ctx, m.asks(q.req)[0].req, texts)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				q.note("%s could not score the answers: %v", m.Model.ID(), err)
				return
			}
			perByte := make([]float64, len(scores))
			for i, sc := range scores {
				perByte[i] = max(sc.Logprob/float64(max(len(texts[i]), 1)), -math.MaxFloat32)
			}
			out[m.Model.ID()] = perByte
		})
	}
	wg.Wait()
	return out
}
