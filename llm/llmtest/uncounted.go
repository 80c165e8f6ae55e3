package llmtest

import (
	"context"
	"iter"

	"retort/llm"
)

// Uncounted is a Model of a service that gives no token counts.
type Uncounted struct{ llm.Model }

// Generate implements llm.Model.
func (u Uncounted) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		for ev, err := range u.Model.Generate(ctx, req) {
			if d, ok := ev.(llm.Done); ok {
				d.Usage = llm.Usage{}
				ev = d
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}
