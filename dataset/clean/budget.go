package clean

import (
	"context"
	"fmt"
	"math"
	"strings"

	"retort/dataset"
)

// nearness is what distance to the chosen counts for at the least, so that among
// equal questions the better one still comes first.
const nearness = 0.01

// spend keeps Budget examples: one after the other the one with the greatest
// quality x difficulty x distance to what is chosen already (greedy k-centre). Of
// the budget, ReplayShare goes first to what earlier trainings had, and what the
// owner's own models gave takes no more than its share.
//
// It takes time in proportion to the examples times the budget.
func (s *selector) spend(ctx context.Context, examples []dataset.Example) ([]dataset.Example, error) {
	if s.opts.Budget == 0 || s.opts.Budget >= len(examples) {
		return examples, nil
	}
	space, err := s.space(ctx, examples)
	if err != nil {
		return nil, err
	}
	c := newChooser(examples, space)
	if share, capped := s.selfShare(); capped {
		c.own = s.opts.SelfGenerated
		c.ownRoom = int(share * float64(s.opts.Budget) * (1 + 1e-9))
	}
	if s.opts.Replay != nil {
		quota := int(math.Ceil(s.opts.ReplayShare*float64(s.opts.Budget) - 1e-9))
		if err := c.choose(ctx, quota, s.opts.Replay); err != nil {
			return nil, err
		}
	}
	if err := c.choose(ctx, s.opts.Budget-len(c.chosen), nil); err != nil {
		return nil, err
	}
	var out []dataset.Example
	taken := map[int]bool{}
	for _, i := range c.chosen {
		taken[i] = true
		out = append(out, examples[i])
	}
	for i, ex := range examples {
		if !taken[i] {
			s.exclude(ex, OverBudget, fmt.Sprintf("%d others teach more", len(out)), "")
		}
	}
	return out, nil
}

// space returns the distance between two of the examples, 0 to 1.
func (s *selector) space(ctx context.Context, examples []dataset.Example) (func(i, j int) float64, error) {
	if s.opts.Embedder == nil {
		return wordSpace(examples), nil
	}
	texts := make([]string, len(examples))
	for i, ex := range examples {
		texts[i] = question(ex)
	}
	vectors, err := s.opts.Embedder.Embed(ctx, texts)
	if err != nil {
		return nil, fmt.Errorf("embed with %q: %w", s.opts.Embedder.ID(), err)
	}
	if len(vectors) != len(texts) {
		return nil, fmt.Errorf("embed with %q: %d vectors for %d texts", s.opts.Embedder.ID(), len(vectors), len(texts))
	}
	return func(i, j int) float64 {
		dot := 0.0
		for k, x := range vectors[i] {
			dot += float64(x) * float64(vectors[j][k])
		}
		return max(0, min(1, (1-dot)/2))
	}, nil
}

// wordSpace measures distance by the words and pairs of words that two questions
// share, estimated from their signatures, so that short ones can be told apart.
func wordSpace(examples []dataset.Example) func(i, j int) float64 {
	signatures := make([]signature, len(examples))
	for i, ex := range examples {
		w := words(question(ex))
		signatures[i] = sign(append(grams(w, 1), grams(w, 2)...))
	}
	return func(i, j int) float64 { return 1 - signatures[i].likeness(&signatures[j]) }
}

// chooser picks examples one after the other.
type chooser struct {
	examples []dataset.Example
	weight   []float64 // quality x difficulty
	distance []float64 // to the nearest of the chosen; 1 while there is none
	taken    []bool
	chosen   []int
	space    func(i, j int) float64

	own     func(dataset.Example) bool // nil: no cap on them
	ownRoom int
}

func newChooser(examples []dataset.Example, space func(i, j int) float64) *chooser {
	n := len(examples)
	c := &chooser{examples: examples, space: space, weight: make([]float64, n), distance: make([]float64, n), taken: make([]bool, n)}
	for i, ex := range examples {
		c.weight[i], c.distance[i] = ex.QualityScore*(1+Difficulty(ex)), 1
	}
	return c
}

// choose picks n more of those that want accepts; fewer if there are not as many.
func (c *chooser) choose(ctx context.Context, n int, want func(dataset.Example) bool) error {
	for range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		best, most := -1, math.Inf(-1)
		for i := range c.examples {
			if c.taken[i] || want != nil && !want(c.examples[i]) || !c.fits(i) {
				continue
			}
			if gain := c.weight[i] * (nearness + c.distance[i]); gain > most {
				best, most = i, gain
			}
		}
		if best < 0 {
			return nil
		}
		c.take(best)
	}
	return nil
}

// fits reports whether example i is within the cap on the owner's own models.
func (c *chooser) fits(i int) bool {
	return c.own == nil || c.ownRoom > 0 || !c.own(c.examples[i])
}

func (c *chooser) take(best int) {
	c.taken[best] = true
	c.chosen = append(c.chosen, best)
	if c.own != nil && c.own(c.examples[best]) {
		c.ownRoom--
	}
	for i := range c.examples {
		if !c.taken[i] {
			c.distance[i] = min(c.distance[i], c.space(i, best))
		}
	}
}

// Difficulty is the share of an example's candidates that said something else than
// the response that was kept, 0 to 1; 0 where no candidates are known.
func Difficulty(ex dataset.Example) float64 {
	n, other := 0, 0
	kept := strings.Join(responseWords(ex), " ")
	for _, c := range ex.Candidates {
		if c.Error != "" {
			continue
		}
		n++
		if strings.Join(responseWords(dataset.Example{Response: c.Response}), " ") != kept {
			other++
		}
	}
	if n == 0 {
		return 0
	}
	return float64(other) / float64(n)
}
