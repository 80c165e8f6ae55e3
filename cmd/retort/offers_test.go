package main

import (
	"testing"

	"retort/dataset"
	"retort/models"
)

// A model of the user's own has no score until it was asked; then it has the one
// that was measured.
func TestOfferView_measured(t *testing.T) {
	known := newLearnt()
	for range 12 {
		known.add(dataset.Query{TaskType: "code", Answered: true, Members: []dataset.QueryMember{
			{Model: "llamacpp/mine", Answered: true, Backed: true, OutputTokens: 30, Seconds: 0.5},
			{Model: "llamacpp/other", Answered: true, OutputTokens: 10, Seconds: 1},
			{Model: "llamacpp/third", Answered: true, Backed: true},
		}}, 0)
	}
	var unknown offerView
	unknown.measured(models.Manifest{ID: "new"}, known)
	if unknown.QualityFrom != "" || unknown.SpeedFrom != "" || score(unknown.QualityScore, unknown.QualityFrom) != "?" {
		t.Errorf("a model that was never asked: %+v", unknown)
	}
	var mine, other, gated offerView
	mine.measured(models.Manifest{ID: "mine"}, known)
	other.measured(models.Manifest{ID: "other"}, known)
	if mine.QualityFrom != fromRecord || mine.SpeedFrom != fromRecord || mine.SpeedScore != 6 {
		t.Errorf("60 tokens per second: %+v", mine)
	}
	if other.SpeedScore != 1 || other.QualityScore >= mine.QualityScore {
		t.Errorf("10 tokens per second, never backed: %+v against %+v", other, mine)
	}
	gated.measured(models.Manifest{ID: "mine", TaskType: "code", Gate: &models.Gate{Accuracy: 0.75}}, known)
	if gated.QualityFrom != fromGate || gated.QualityScore != 7.5 {
		t.Errorf("with a gate: %+v", gated)
	}
}
