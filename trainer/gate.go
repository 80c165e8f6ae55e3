package trainer

import (
	"errors"
	"fmt"
	"math"

	"retort/models"
)

// GateOptions says what a candidate must show. The zero value is the default.
type GateOptions struct {
	MinItems int     `json:"min_items"` // fewer held-out items decide nothing; 0 means 30
	Alpha    float64 `json:"alpha"`     // chance to accept that a model no better passes; 0 means 0.05
}

func (o GateOptions) withDefaults() GateOptions {
	if o.MinItems == 0 {
		o.MinItems = 30
	}
	if o.Alpha == 0 {
		o.Alpha = 0.05
	}
	return o
}

// Compare decides whether candidate may replace reference, from their answers
// to the same items.
//
// Only the items count that one of them has right and the other wrong: the
// candidate's wins and losses. It passes when there are more wins than losses
// and so many of them would come by chance, were it no better, with a
// probability of at most opts.Alpha (exact one-sided McNemar test). So at most
// one useless model in twenty is ever let through, and being equal is not
// enough to replace a model that is known. With fewer items than opts.MinItems,
// or too few differences to reach opts.Alpha at all, it does not pass and the
// reason says that nothing was decided.
//
// It is an error to compare reports over different items.
func Compare(candidate, reference Report, opts GateOptions) (models.Gate, error) {
	if candidate.Items != reference.Items || len(candidate.Answers) != len(reference.Answers) {
		return models.Gate{}, errors.New("compare reports: they are over different items")
	}
	opts = opts.withDefaults()
	wins, losses := 0, 0
	for i, given := range candidate.Answers {
		switch ref := reference.Answers[i]; {
		case given.Correct && !ref.Correct:
			wins++
		case !given.Correct && ref.Correct:
			losses++
		}
	}
	g := models.Gate{
		Items:             candidate.N,
		Accuracy:          candidate.Accuracy,
		Against:           reference.Model,
		ReferenceAccuracy: reference.Accuracy,
		PValue:            mcnemar(wins, losses),
	}
	g.Passed, g.Reason = opts.verdict(g, wins, losses)
	return g, nil
}

// verdict is the rule that Compare describes.
func (o GateOptions) verdict(g models.Gate, wins, losses int) (passed bool, reason string) {
	score := fmt.Sprintf("%.1f %% right against %.1f %% on %d held-out items, %d gained and %d lost",
		100*g.Accuracy, 100*g.ReferenceAccuracy, g.Items, wins, losses)
	switch {
	case g.Items < o.MinItems:
		return false, fmt.Sprintf("not decided: %d held-out items are too few, %d are needed (%s)", g.Items, o.MinItems, score)
	case g.PValue <= o.Alpha:
		return true, fmt.Sprintf("better: %s (p = %.2g)", score, g.PValue)
	case losses > wins:
		return false, "worse: " + score
	case math.Pow(0.5, float64(wins+losses)) > o.Alpha:
		return false, "not decided: the two differ on too few items (" + score + ")"
	}
	return false, fmt.Sprintf("no better than chance would have it: %s (p = %.2g)", score, g.PValue)
}
