package ensemble

import "math"

// Beta is what is known of a rate: a Beta distribution by its two counts.
type Beta struct {
	Wins   float64 `json:"wins"`
	Losses float64 `json:"losses"`
}

// Mean is the expected rate.
func (b Beta) Mean() float64 {
	if b.Wins+b.Losses == 0 {
		return 0.5
	}
	return b.Wins / (b.Wins + b.Losses)
}

// Spread is the standard deviation of the rate.
func (b Beta) Spread() float64 {
	n := b.Wins + b.Losses
	if n == 0 {
		return math.Sqrt(1.0 / 12)
	}
	return math.Sqrt(b.Wins * b.Losses / (n * n * (n + 1)))
}

// priorWeight is how many outcomes a catalogue's score counts for.
const priorWeight = 10

// Prior is what a quality score from 0 to 10 lets expect before any outcome; 0
// counts as 5, which knows nothing.
func Prior(quality float64) Beta {
	if quality <= 0 {
		quality = 5
	}
	p := min(quality/10, 0.99)
	return Beta{priorWeight * p, priorWeight * (1 - p)}
}

// starWeight is how many unrated outcomes one rated outcome counts for.
const starWeight = 4

// Skills are the rates at which members are right, by model and task type.
type Skills map[SkillKey]Beta

// SkillKey names one of Skills.
type SkillKey struct{ Model, TaskType string }

// Of returns what is known of a model on a task type: quality as prior, and the
// trials that were learnt.
func (s Skills) Of(model, taskType string, quality float64) Beta {
	b, seen := Prior(quality), s[SkillKey{model, taskType}]
	return Beta{b.Wins + seen.Wins, b.Losses + seen.Losses}
}

// Learn adds what one outcome on a task type tells of those who answered: backed
// says for each model whether its answer was the one given. stars is the owner's
// rating of that, 1 to 5, or 0 for none.
//
// Without stars, being with the answer is a win and differing from it a loss,
// provided that two or more were with it: an answer that one member gave alone
// tells nothing of who is right, least of all of that member. With stars the
// answer's worth is known, and counts for more: those who backed it share it, and
// those who differed from a good one lose. Differing from a bad one tells
// nothing, for their own answers may have been as bad.
func (s Skills) Learn(taskType string, stars int, backed map[string]bool) {
	with := 0
	for _, yes := range backed {
		if yes {
			with++
		}
	}
	if stars == 0 && with < 2 {
		return
	}
	worth := float64(stars-1) / 4
	for model, yes := range backed {
		key := SkillKey{model, taskType}
		b := s[key]
		switch {
		case stars > 0 && yes:
			b.Wins += starWeight * worth
			b.Losses += starWeight * (1 - worth)
		case stars >= 4:
			b.Losses += starWeight
		case stars == 0 && yes:
			b.Wins++
		case stars == 0:
			b.Losses++
		}
		s[key] = b
	}
}
