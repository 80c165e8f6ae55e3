package trainer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"retort/llm"
)

// EvalOptions says how a model is asked.
type EvalOptions struct {
	Prompt          func(Item) []llm.Message // nil means Item.Prompt
	MaxOutputTokens int                      // of one answer; 0 means 64
	Concurrency     int                      // answers in flight; 0 means 4
	OnItem          func(done, total int)    // may be nil; not called concurrently
}

// Report is how a model did on a list of items.
type Report struct {
	Model        string  `json:"model"`
	Items        string  `json:"items"` // "sha256:<hex>" of the items, to tell whether two reports can be compared
	N            int     `json:"n"`
	Correct      int     `json:"correct"`
	Accuracy     float64 `json:"accuracy"` // Correct / N
	Low          float64 `json:"low"`      // Accuracy's 95 % interval (Wilson)
	High         float64 `json:"high"`
	InputTokens  int     `json:"input_tokens"` // of all items together
	OutputTokens int     `json:"output_tokens"`
	Seconds      float64 `json:"seconds"` // wall time
	Answers      []Given `json:"answers"` // in the order of the items
}

// Given is the answer that a model gave to an item.
type Given struct {
	Text    string `json:"text"`
	Correct bool   `json:"correct"`
}

// MeanInputTokens is the mean length of a prompt, 0 without items.
func (r Report) MeanInputTokens() float64 { return float64(r.InputTokens) / float64(max(r.N, 1)) }

// MeanOutputTokens is the mean length of an answer, 0 without items.
func (r Report) MeanOutputTokens() float64 { return float64(r.OutputTokens) / float64(max(r.N, 1)) }

// Evaluate asks m every item, greedily, and counts the answers that are equal to
// the item's, apart from white space around them. The first question that
// cannot be asked ends it with an error: a report is over all items or none.
func Evaluate(ctx context.Context, m llm.Model, items []Item, opts EvalOptions) (Report, error) {
	if len(items) == 0 {
		return Report{}, fmt.Errorf("evaluate %q: no items", m.ID())
	}
	prompt := opts.Prompt
	if prompt == nil {
		prompt = Item.Prompt
	}
	rep := Report{Model: m.ID(), Items: itemsDigest(items), N: len(items), Answers: make([]Given, len(items))}
	var (
		mu    sync.Mutex
		done  int
		begin = time.Now()
	)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(cmp.Or(opts.Concurrency, 4))
	for i, it := range items {
		group.Go(func() error {
			req := llm.Request{Messages: prompt(it), Sampling: llm.Sampling{
				Temperature: new(0.0), MaxOutputTokens: cmp.Or(opts.MaxOutputTokens, 64)}}
			resp, err := llm.Collect(gctx, m, req)
			if err != nil {
				return fmt.Errorf("evaluate %q: item %d: %w", m.ID(), i+1, err)
			}
			mu.Lock()
			defer mu.Unlock()
			rep.add(i, it, resp)
			if done++; opts.OnItem != nil {
				opts.OnItem(done, len(items))
			}
			return nil
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		err = fmt.Errorf("evaluate %q: %w", m.ID(), ctx.Err())
	}
	if err != nil {
		return Report{}, err
	}
	rep.Seconds = time.Since(begin).Seconds()
	rep.Accuracy = float64(rep.Correct) / float64(rep.N)
	rep.Low, rep.High = wilson(rep.Correct, rep.N)
	return rep, nil
}

func (r *Report) add(i int, it Item, resp llm.Response) {
	given := Given{Text: strings.TrimSpace(resp.Text)}
	if given.Correct = given.Text == strings.TrimSpace(it.Answer); given.Correct {
		r.Correct++
	}
	r.Answers[i] = given
	r.InputTokens += resp.Usage.InputTokens
	r.OutputTokens += resp.Usage.OutputTokens
}

func itemsDigest(items []Item) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(encodeItems(items)))
}
