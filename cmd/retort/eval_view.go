package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"retort/ensemble"
	"retort/ensemble/calibration"
)

// evalEnsembleView is what users see of a comparison; its JSON names are stable.
type evalEnsembleView struct {
	N          int              `json:"n"`
	Arms       []armView        `json:"arms"`
	Pairs      []pairView       `json:"pairs"`
	Confidence []confidenceView `json:"confidence"` // of weighted and of consensus
}

// armView is how one way of answering did.
type armView struct {
	Name      string  `json:"name"`
	Answered  int     `json:"answered"`
	Correct   int     `json:"correct"`
	Accuracy  float64 `json:"accuracy"`  // of all questions
	Coverage  float64 `json:"coverage"`  // share that was answered
	Precision float64 `json:"precision"` // share of the answered that is right
	CostUSD   float64 `json:"cost_usd"`
}

// pairView compares two ways on the same questions. The interval is the paired
// bootstrap's, 95 %.
type pairView struct {
	Name       string  `json:"name"`
	Against    string  `json:"against"`
	Difference float64 `json:"difference"` // of accuracy
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
}

// confidenceView says how well confidence holds that was calibrated on the other
// four fifths of the questions.
type confidenceView struct {
	Arm   string             `json:"arm"`
	Folds int                `json:"folds"`
	Sure  sureView           `json:"at_least_0.9"`
	All   calibration.Report `json:"report"` // of what the arm answered
}

// sureView is the answers whose calibrated confidence is 0.9 or more.
type sureView struct {
	N        int     `json:"n"`
	Coverage float64 `json:"coverage"` // of all questions
	Right    float64 `json:"right"`
}

const (
	confidenceFolds = 5
	resamples       = 10000
)

func (cmp *comparison) view() evalEnsembleView {
	v := evalEnsembleView{N: len(cmp.items)}
	for _, a := range cmp.arms {
		av := armView{Name: a.name}
		for i, o := range a.outcomes {
			if o.Answer != "" {
				av.Answered++
			}
			if a.right[i] {
				av.Correct++
			}
			av.CostUSD += o.CostUSD
		}
		av.Accuracy = float64(av.Correct) / float64(v.N)
		av.Coverage = float64(av.Answered) / float64(v.N)
		av.Precision = float64(av.Correct) / float64(max(av.Answered, 1))
		v.Arms = append(v.Arms, av)
	}
	judged := cmp.judgedArm()
	for i := range cmp.arms {
		if a := &cmp.arms[i]; a != judged {
			v.Pairs = append(v.Pairs, pair(judged, a))
		}
	}
	for i := range cmp.arms {
		if a := &cmp.arms[i]; a == judged || a.strategy == ensemble.Consensus {
			v.Confidence = append(v.Confidence, confidenceOf(a))
		}
	}
	return v
}

func confidenceOf(a *arm) confidenceView {
	points := calibration.CrossFit(a.points(), confidenceFolds)
	v := confidenceView{Arm: a.name, Folds: confidenceFolds, All: calibration.Measure(points)}
	for _, p := range points {
		if p.Confidence >= 0.9 {
			v.Sure.N++
			v.Sure.Right += p.Right
		}
	}
	v.Sure.Right /= float64(max(v.Sure.N, 1))
	v.Sure.Coverage = float64(v.Sure.N) / float64(len(a.right))
	return v
}

// pair compares two arms by resampling the questions, the same for both.
func pair(a, b *arm) pairView {
	n := len(a.right)
	diff := make([]float64, n)
	sum := 0.0
	for i := range diff {
		switch {
		case a.right[i] && !b.right[i]:
			diff[i] = 1
		case b.right[i] && !a.right[i]:
			diff[i] = -1
		}
		sum += diff[i]
	}
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	means := make([]float64, resamples)
	for r := range means {
		for range n {
			means[r] += diff[rng.IntN(n)] / float64(n)
		}
	}
	slices.Sort(means)
	return pairView{a.name, b.name, sum / float64(n), means[resamples/40], means[resamples-1-resamples/40]}
}

func (v evalEnsembleView) print(r *retort, data string) {
	r.printf("%d questions of %s\n\n", v.N, data)
	rows := [][]string{{"", "RIGHT", "ANSWERED", "RIGHT OF ANSWERED", "COST"}}
	for _, a := range v.Arms {
		rows = append(rows, []string{a.Name, percent(a.Accuracy), percent(a.Coverage), percent(a.Precision), fmt.Sprintf("$%.4f", a.CostUSD)})
	}
	r.table(rows)
	r.printf("\nOn the same questions (95 %% interval of the paired bootstrap):\n")
	for _, p := range v.Pairs {
		r.printf("  %s against %s: %+.1f points (%+.1f to %+.1f)\n", p.Name, p.Against, 100*p.Difference, 100*p.Low, 100*p.High)
	}
	for _, c := range v.Confidence {
		r.printf("\nConfidence of %s, calibrated on the other %d of %d parts of the questions:\n", c.Arm, c.Folds-1, c.Folds)
		printReliability(r, c.All)
		r.printf("  Of the %d answers at 0.9 or surer (%s of all questions), %s are right\n", c.Sure.N, percent(c.Sure.Coverage), percent(c.Sure.Right))
	}
}

// printReliability shows how well confidence holds, as numbers and as a plot:
// a bar as long as the share that is right, with | where the confidence is.
func printReliability(r *retort, rep calibration.Report) {
	auroc := "not known: all answers are alike"
	if rep.AUROC != nil {
		auroc = fmt.Sprintf("%.3f", *rep.AUROC)
	}
	r.printf("  %d answers, %s right; ECE %.3f, Brier %.3f, AUROC %s\n", rep.N, percent(rep.Right), rep.ECE, rep.Brier, auroc)
	const width = 40
	for _, b := range rep.Bins {
		bar := []rune(strings.Repeat("█", int(b.Right*width+0.5)) + strings.Repeat("·", width+1))[:width+1]
		bar[int(b.Confidence*width+0.5)] = '|'
		r.printf("  %.1f-%.1f %s %s right of %d\n", b.Low, b.Low+0.1, string(bar), percent(b.Right), b.N)
	}
}
