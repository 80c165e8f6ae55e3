package dataset

import (
	"fmt"
	"math"
)

// Policy decides which answers are kept, and what a user's stars do to their
// quality. The zero Policy stands for DefaultPolicy.
type Policy struct {
	MinQuality     float64 // an answer is kept when its score is above this
	AgreementBonus float64 // added when the models agreed
	FeedbackBonus  float64 // added for 4 or 5 stars
}

// DefaultPolicy keeps what scores above 0.7. Each bonus is 0.05: enough to keep
// a borderline answer, too little to save a poor one.
func DefaultPolicy() Policy {
	return Policy{MinQuality: 0.7, AgreementBonus: 0.05, FeedbackBonus: 0.05}
}

// Verdict is what a Policy says of one example.
type Verdict struct {
	Keep   bool
	Score  float64 // the example's quality, bonuses included, 0 to 1
	Reason string  // one line for people
}

// Judge scores ex and says whether it is worth keeping. One or two stars are a
// refusal: such an answer scores no more than MinQuality less FeedbackBonus,
// however good it was thought to be. Three stars change nothing.
func (p Policy) Judge(ex Example) Verdict {
	p = p.orDefault()
	score := p.Score(ex)
	if ex.Refused() {
		return Verdict{false, score, fmt.Sprintf("rated %d of 5 by the user", ex.UserFeedback)}
	}
	if score > p.MinQuality {
		return Verdict{true, score, fmt.Sprintf("quality %.2f is above %.2f", score, p.MinQuality)}
	}
	return Verdict{false, score, fmt.Sprintf("quality %.2f is not above %.2f", score, p.MinQuality)}
}

// Score is the quality of ex with all bonuses, 0 to 1. It starts from
// BaseQuality, so it is the same however often it is applied.
func (p Policy) Score(ex Example) float64 {
	p = p.orDefault()
	score := ex.QualityScore
	if ex.BaseQuality != nil {
		score = *ex.BaseQuality
	}
	if ex.ModelsAgreed {
		score += p.AgreementBonus
	}
	switch {
	case ex.UserFeedback >= 4:
		score += p.FeedbackBonus
	case ex.Refused():
		score = min(score, p.MinQuality-p.FeedbackBonus)
	}
	// Rounded, so that 0.65 and a bonus of 0.05 are 0.7 and not a hair above it.
	return math.Round(max(0, min(1, score))*1e6) / 1e6
}

// Refused reports whether the user gave the answer one or two stars. Such an
// answer is kept as what not to say, and never to be imitated.
func (ex Example) Refused() bool { return ex.UserFeedback == 1 || ex.UserFeedback == 2 }

// apply returns ex with QualityScore made from BaseQuality.
func (p Policy) apply(ex Example) Example {
	score := p.Score(ex)
	if ex.BaseQuality == nil {
		ex.BaseQuality = new(ex.QualityScore)
	}
	ex.QualityScore = score
	return ex
}

func (p Policy) orDefault() Policy {
	if p == (Policy{}) {
		return DefaultPolicy()
	}
	return p
}
