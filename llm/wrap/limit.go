package wrap

import (
	"context"
	"fmt"
	"iter"
	"time"

	"golang.org/x/time/rate"

	"retort/llm"
)

// Limiter holds the rates of one provider, which all of its models share.
type Limiter struct{ requests, tokens *rate.Limiter }

// NewLimiter returns a limiter of so many requests and tokens per minute; 0 sets no
// bound. Requests may come in bursts of ten seconds' worth, tokens of a minute's.
func NewLimiter(requests, tokens int) *Limiter {
	perMinute := func(n, burst int) *rate.Limiter {
		if n <= 0 {
			return rate.NewLimiter(rate.Inf, 0)
		}
		return rate.NewLimiter(rate.Limit(float64(n)/60), max(1, burst))
	}
	return &Limiter{perMinute(requests, requests/6), perMinute(tokens, tokens)}
}

// Limit returns m with each request waiting until l has room for it. The tokens of
// a prompt are guessed beforehand; what the service counts beyond that, the answer
// above all, is charged afterwards and delays those that follow.
func Limit(m llm.Model, l *Limiter) llm.Model { return limited{inner{m}, l} }

type limited struct {
	inner
	*Limiter
}

func (w limited) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		guess := guessTokens(req)
		if err := w.wait(ctx, guess); err != nil {
			yield(nil, fmt.Errorf("generate %q: %w", w.ID(), err))
			return
		}
		for ev, err := range w.model.Generate(ctx, req) {
			if d, ok := ev.(llm.Done); ok {
				w.charge(d.Usage.InputTokens + d.Usage.OutputTokens - guess)
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

func (l *Limiter) wait(ctx context.Context, tokens int) error {
	err := l.requests.Wait(ctx)
	if err == nil {
		err = l.tokens.WaitN(ctx, l.fit(tokens))
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("the rate limit leaves no room before the deadline: %w", context.DeadlineExceeded)
	}
	return err
}

// charge takes n tokens without waiting, so that the next request does.
func (l *Limiter) charge(n int) {
	if n > 0 {
		l.tokens.ReserveN(time.Now(), l.fit(n))
	}
}

// fit bounds n by the burst, above which a limiter never lets anything pass.
func (l *Limiter) fit(n int) int {
	if l.tokens.Limit() == rate.Inf {
		return 0
	}
	return min(n, l.tokens.Burst())
}

// guessTokens counts a token for every four bytes of text, and 1,000 for an image.
func guessTokens(req llm.Request) int {
	n := 0
	for _, m := range req.Messages {
		n += 4 + len(m.Content)/4 + 1000*len(m.Images)
	}
	for _, t := range req.Tools {
		n += len(t.Parameters) / 4
	}
	return n
}
