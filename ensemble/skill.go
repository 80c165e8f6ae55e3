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

// Trial is one outcome that tells of a member's skill.
type Trial struct {
	Model    string
	TaskType string
	Backed   bool // the member's answer was the ensemble's
	Stars    int  // the owner's rating of the answer, 1 to 5; 0 is none
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

// Learn adds what a trial tells. Without stars, being with the ensemble's answer
// is a win and differing from it a loss. With stars the answer's worth is known,
// and counts for more: those who backed it share it, and those who differed from
// a good one lose. Differing from a bad one tells nothing, for their own answers
// may have been as bad.
func (s Skills) Learn(t Trial) {
	key := SkillKey{t.Model, t.TaskType}
	b := s[key]
	switch {
	case t.Stars > 0 && t.Backed:
		worth := float64(t.Stars-1) / 4
		b.Wins += starWeight * worth
		b.Losses += starWeight * (1 - worth)
	case t.Stars >= 4:
		b.Losses += starWeight
	case t.Stars == 0 && t.Backed:
		b.Wins++
	case t.Stars == 0:
		b.Losses++
	}
	s[key] = b
}
