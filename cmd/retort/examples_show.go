package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/dataset/clean"
)

func showCommand() *cli.Command {
	return &cli.Command{Name: "show", Usage: "print one example whole, and why it was kept", ArgsUsage: "ID",
		Description: "It says how the quality came about, and whether the example would be trained on now. In a store of more than\n" +
			fmt.Sprint(fewExamples) + " examples the others are not looked at for duplicates and for what is held out: --check does it.",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "check", Usage: "compare it with all other examples, however many there are"}}}
}

// fewExamples are looked through in a moment.
const fewExamples = 500

// exampleView is an example and what is decided about it; its JSON names are
// those of the example, and stable.
type exampleView struct {
	dataset.Example
	Why why `json:"why"`
}

// why says how an example was judged, and what becomes of it.
type why struct {
	Judged         float64 `json:"judged_quality"` // before bonuses
	AgreementBonus float64 `json:"agreement_bonus"`
	FeedbackBonus  float64 `json:"feedback_bonus"` // below 0 for one or two stars
	Score          float64 `json:"score"`          // their sum, by the settings of today
	MinQuality     float64 `json:"min_quality"`
	Passes         bool    `json:"passes"` // the settings of today would keep it
	Verdict        string  `json:"verdict"`

	Trained  bool   `json:"would_train"`
	Reason   string `json:"reason,omitempty"` // why not: of `examples select`, or "split" or "rating"
	Detail   string `json:"detail,omitempty"`
	Of       string `json:"of,omitempty"` // the example or held-out item that it repeats
	Compared bool   `json:"compared"`     // with the other examples
}

func runExamplesShow(ctx context.Context, c *cli.Context, r *retort) error {
	if c.NArg() != 1 {
		return usage("examples show wants one ID").hint("`retort examples list` shows them")
	}
	store, err := r.store()
	if err != nil {
		return err
	}
	ex, err := store.Get(ctx, c.Args().First())
	if err != nil {
		return err
	}
	w := arithmetic(r.policy(), ex)
	if err := r.decide(ctx, c, ex, &w); err != nil {
		return err
	}
	r.printExample(ex)
	r.printWhy(ex, w)
	return r.object(exampleView{ex, w})
}

// arithmetic takes apart how p scores ex.
func arithmetic(p dataset.Policy, ex dataset.Example) why {
	if p == (dataset.Policy{}) {
		p = dataset.DefaultPolicy()
	}
	verdict := p.Judge(ex)
	plain := ex
	plain.UserFeedback = 0
	unrated := p.Score(plain)
	plain.ModelsAgreed = false
	w := why{Judged: p.Score(plain), Score: verdict.Score, MinQuality: p.MinQuality, Passes: verdict.Keep, Verdict: verdict.Reason}
	w.AgreementBonus, w.FeedbackBonus = micros(unrated-w.Judged), micros(w.Score-unrated)
	return w
}

// micros rounds as scores are rounded.
func micros(x float64) float64 { return math.Round(x*1e6) / 1e6 }

// decide fills in whether ex would be trained on.
func (r *retort) decide(ctx context.Context, c *cli.Context, ex dataset.Example, w *why) error {
	switch {
	case ex.Split == dataset.SplitHeldOut:
		w.Reason, w.Detail = "split", "it is held out: models are tested with it"
		return nil
	case ex.Refused():
		w.Reason, w.Detail = "rating", fmt.Sprintf("it is rated %d of 5: what not to say", ex.UserFeedback)
		return nil
	}
	store, err := r.store()
	if err != nil {
		return err
	}
	stats, err := store.Stats(ctx)
	if err != nil {
		return err
	}
	var sel clean.Selection
	if w.Compared = c.Bool("check") || stats.Total <= fewExamples; w.Compared {
		sel, err = r.cleanAll(ctx, c)
	} else {
		sel, err = r.cleanOne(ctx, ex)
	}
	if err != nil {
		return err
	}
	w.Trained = true
	for _, e := range sel.Excluded {
		if e.ID == ex.ID {
			w.Trained, w.Reason, w.Detail, w.Of = false, string(e.Reason), e.Detail, e.Of
		}
	}
	return nil
}

func (r *retort) printExample(ex dataset.Example) {
	r.printf("%s\n  quality %.2f, task %s, split %s, %s\n", ex.ID, ex.QualityScore, ex.TaskType, ex.Split, ex.CreatedAt.Format(time.RFC3339))
	r.printf("  from %s %s\n", ex.Source.Kind, strings.Join(append([]string{ex.Source.Name}, ex.Source.Models...), " "))
	if ex.UserFeedback > 0 {
		r.printf("  rated %d of 5\n", ex.UserFeedback)
	}
	for _, m := range ex.Messages {
		r.printf("\n[%s]\n%s\n", m.Role, m.Content)
	}
	r.printf("\n[response]\n%s\n", ex.Response)
	for _, text := range ex.Rejected {
		r.printf("  ✗ rejected: %s\n", firstLine(text, 80))
	}
	for _, cand := range ex.Candidates {
		r.printf("  • %s (%.2f): %s\n", cand.Model, cand.Score, firstLine(cand.Response+cand.Error, 80))
	}
}

func (r *retort) printWhy(ex dataset.Example, w why) {
	r.printf("\n[why]\n  quality: %.2f first judged", w.Judged)
	if w.AgreementBonus != 0 {
		r.printf(" %+.2f models agreed", w.AgreementBonus)
	}
	if w.FeedbackBonus != 0 {
		r.printf(" %+.2f %d stars", w.FeedbackBonus, ex.UserFeedback)
	}
	r.printf(" = %.2f\n", w.Score)
	if w.Score != ex.QualityScore {
		r.printf("  stored as %.2f, under other settings\n", ex.QualityScore)
	}
	r.printf("  %s\n", keptBecause(ex, w))
	switch {
	case w.Trained && w.Compared:
		r.printf("  would be trained on\n")
	case w.Trained:
		r.printf("  would be trained on, unless it repeats another one: not looked at without --check\n")
	default:
		of := ""
		if strings.HasPrefix(w.Of, "sha256:") {
			of = ", " + shortID(w.Of)
		}
		r.printf("  would not be trained on: %s%s (%s)\n", w.Detail, of, strings.ReplaceAll(w.Reason, "_", " "))
	}
}

// keptBecause says why an example is in the store.
func keptBecause(ex dataset.Example, w why) string {
	switch {
	case ex.Source.Kind != "ensemble":
		return fmt.Sprintf("kept: you gave it (%s)", w.Verdict)
	case w.Passes:
		return "kept: " + w.Verdict
	}
	return "kept then, would not be now: " + w.Verdict
}
