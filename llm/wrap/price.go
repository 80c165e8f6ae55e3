package wrap

import (
	"context"
	"iter"

	"retort/llm"
)

// Rates are what a model costs, in dollars per 1,000 tokens.
type Rates struct {
	Input  float64
	Cached float64 // input that the service had read before; 0 means as much as Input
	Output float64
}

// Cost returns the price of u in dollars.
func (r Rates) Cost(u llm.Usage) float64 {
	if r.Cached == 0 {
		r.Cached = r.Input
	}
	fresh := u.InputTokens - u.CachedTokens
	return (float64(fresh)*r.Input + float64(u.CachedTokens)*r.Cached + float64(u.OutputTokens)*r.Output) / 1000
}

// Price returns m with its answers priced at r, where the service names no price of
// its own. Rates that are not known (nil) are a warning.
func Price(m llm.Model, r *Rates) llm.Model { return priced{inner{m}, r} }

type priced struct {
	inner
	rates *Rates
}

func (w priced) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		for ev, err := range w.model.Generate(ctx, req) {
			if d, ok := ev.(llm.Done); ok && d.Usage.CostUSD == 0 {
				ev = w.price(d)
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

func (w priced) price(d llm.Done) llm.Done {
	if w.rates == nil {
		d.Warnings = append(d.Warnings[:len(d.Warnings):len(d.Warnings)], "cost: the model's price is not known")
		return d
	}
	d.Usage.CostUSD = w.rates.Cost(d.Usage)
	return d
}
