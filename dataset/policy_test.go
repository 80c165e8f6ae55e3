package dataset_test

import (
	"testing"

	"retort/dataset"
)

func TestPolicy_Judge(t *testing.T) {
	tests := map[string]struct {
		quality float64
		agreed  bool
		stars   int
		keep    bool
		score   float64
	}{
		"good":                        {0.92, false, 0, true, 0.92},
		"poor":                        {0.3, false, 0, false, 0.3},
		"exactly the limit":           {0.7, false, 0, false, 0.7},
		"just above":                  {0.701, false, 0, true, 0.701},
		"agreement lifts":             {0.66, true, 0, true, 0.71},
		"agreement to the limit":      {0.65, true, 0, false, 0.7},
		"agreement does not save":     {0.5, true, 0, false, 0.55},
		"five stars lift":             {0.66, false, 5, true, 0.71},
		"four stars lift":             {0.66, false, 4, true, 0.71},
		"three stars change nothing":  {0.75, false, 3, true, 0.75},
		"both bonuses":                {0.61, true, 5, true, 0.71},
		"never above 1":               {0.97, true, 5, true, 1},
		"two stars refuse":            {0.9, false, 2, false, 0.65},
		"one star refuses agreement":  {1, true, 1, false, 0.65},
		"one star on what was poorer": {0.2, false, 1, false, 0.2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ex := dataset.Example{QualityScore: test.quality, ModelsAgreed: test.agreed, UserFeedback: test.stars}
			got := dataset.Policy{}.Judge(ex)
			if got.Keep != test.keep || got.Score != test.score || got.Reason == "" {
				t.Errorf("Judge = %+v, want keep %v, score %v", got, test.keep, test.score)
			}
			// Judged again after it was stored with its score, it is the same.
			ex.BaseQuality, ex.QualityScore = new(test.quality), got.Score
			if again := (dataset.Policy{}).Judge(ex); again != got {
				t.Errorf("again: %+v, first %+v", again, got)
			}
		})
	}
}

func TestPolicy_ofOnesOwn(t *testing.T) {
	p := dataset.Policy{MinQuality: 0.5, AgreementBonus: 0.2}
	for quality, keep := range map[float64]bool{0.5: true, 0.3: false} {
		ex := dataset.Example{QualityScore: quality, ModelsAgreed: true}
		if got := p.Judge(ex); got.Keep != keep {
			t.Errorf("quality %v: %+v, want keep %v", quality, got, keep)
		}
	}
	if got := p.Judge(dataset.Example{QualityScore: 1, UserFeedback: 1}); got.Keep || got.Score != 0.5 {
		t.Errorf("one star: %+v, want refused at 0.5", got)
	}
}
