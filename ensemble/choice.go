package ensemble

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"sync"

	"golang.org/x/sync/errgroup"

	"retort/ensemble/meaning"
	"retort/llm"
)

// calibrateInFlight is how many questions a member is calibrated on at once:
// enough for an engine to decode them together.
const calibrateInFlight = 4

// prior is how much a member likes each choice before it has seen the question:
// log-probabilities in nats, by prefix and by choice.
type prior [][]float64

// Calibrate measures, on a batch of typical questions, which of its Choices the
// member prefers whatever it is asked, and returns the member with that leaning
// taken off its later scores. Small models lean strongly: towards words that are
// common, or that came last among the examples. No answers are needed, only
// questions that are spread over the choices much as later ones will be.
// ("Batch calibration": Zhou et al. 2024, arXiv 2309.17249.)
//
// progress may be nil; it is called after each question, from one goroutine at a
// time.
func (m Member) Calibrate(ctx context.Context, batch []llm.Request, progress func(done, total int)) (Member, error) {
	if len(batch) == 0 || len(m.Choices) == 0 {
		return m, errors.New("calibrate: want questions and choices")
	}
	scorer, err := m.scorer()
	if err != nil {
		return m, err
	}
	sums := make(prior, len(m.asks(batch[0])))
	for i := range sums {
		sums[i] = make([]float64, len(m.Choices))
	}
	var mu sync.Mutex
	done := 0
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(calibrateInFlight)
	for _, req := range batch {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() error {
			for i, a := range m.asks(req) {
				logprobs, err := scoreChoices(gctx, scorer, a.req, m.Choices)
				if err != nil {
					return err
				}
				mu.Lock()
				for c, lp := range logprobs {
					sums[i][c] += lp / float64(len(batch))
				}
				mu.Unlock()
			}
			mu.Lock()
			defer mu.Unlock()
			if done++; progress != nil {
				progress(done, len(batch))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return m, err
	}
	if err := ctx.Err(); err != nil { // cancelled before all were asked
		return m, err
	}
	m.prior = sums
	return m, nil
}

func (m Member) scorer() (llm.Scorer, error) {
	s, ok := llm.As[llm.Scorer](m.Model)
	if !ok {
		return nil, fmt.Errorf("choose with %q: %w: it gives no log-probabilities", m.Model.ID(), llm.ErrUnsupported)
	}
	return s, nil
}

func scoreChoices(ctx context.Context, s llm.Scorer, req llm.Request, choices []string) ([]float64, error) {
	scores, err := s.Score(ctx, req, choices)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(scores))
	for i, sc := range scores {
		out[i] = sc.Logprob
	}
	return out, nil
}

// choose draws the samples of one ask from the member's distribution over its
// choices, at the request's temperature, and hands that distribution over too.
func (m Member) choose(ctx context.Context, i int, a ask, stride int, give func(spread map[string]float64, drawn ...Candidate)) error {
	scorer, err := m.scorer()
	if err != nil {
		return err
	}
	logprobs, err := scoreChoices(ctx, scorer, a.req, m.Choices)
	if err != nil {
		return err
	}
	if m.prior != nil {
		for c := range logprobs {
			logprobs[c] -= m.prior[i][c]
		}
	}
	weights := softmax(logprobs, temperature(a.req.Sampling))
	spread := make(map[string]float64, len(weights))
	for c, w := range weights {
		spread[meaning.Key(m.Choices[c])] += w * float64(a.n) / float64(m.samples())
	}
	drawn := make([]Candidate, a.n)
	for j := range drawn {
		sample := i + j*stride
		text := m.Choices[draw(weights, m.Model.ID(), a.req.Sampling.Seed, sample)]
		drawn[j] = newCandidate(m.Model.ID(), sample, llm.Response{Text: text, FinishReason: llm.FinishStop})
	}
	give(spread, drawn...)
	return nil
}

func temperature(s llm.Sampling) float64 {
	if s.Temperature == nil {
		return 1
	}
	return *s.Temperature
}

// softmax turns log-probabilities into a distribution; temperature 0 puts all of
// it on the largest.
func softmax(logprobs []float64, temperature float64) []float64 {
	top := 0
	for i, lp := range logprobs {
		if lp > logprobs[top] {
			top = i
		}
	}
	out := make([]float64, len(logprobs))
	if temperature <= 0 {
		out[top] = 1
		return out
	}
	var sum float64
	for i, lp := range logprobs {
		out[i] = math.Exp((lp - logprobs[top]) / temperature)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// draw picks an index with the given weights, which sum to 1. With a seed, the
// same sample of the same model is always the same; two models draw apart, so
// that their votes are independent.
func draw(weights []float64, model string, seed *int64, sample int) int {
	r := rand.Float64()
	if seed != nil {
		h := fnv.New64a()
		h.Write([]byte(model))
		r = rand.New(rand.NewPCG(uint64(*seed)^h.Sum64(), uint64(sample))).Float64()
	}
	for i, w := range weights {
		if r -= w; r < 0 {
			return i
		}
	}
	return len(weights) - 1
}
