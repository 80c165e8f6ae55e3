package dataset

import "context"

// ReadyExamples is how many examples are worth a first fine-tuning.
const ReadyExamples = 100

// highQuality is the score above which an example counts as of high quality.
const highQuality = 0.8

// Stats sums up a store.
type Stats struct {
	Total          int            `json:"total_examples"`
	HighQuality    int            `json:"high_quality_examples"` // QualityScore above 0.8
	AverageQuality float64        `json:"average_quality"`       // 0 for an empty store
	WithFeedback   int            `json:"examples_with_feedback"`
	HeldOut        int            `json:"held_out_examples"`
	TaskTypes      map[string]int `json:"task_types"`
	Ready          bool           `json:"ready_for_finetuning"` // Total is at least ReadyExamples
}

// Stats counts the examples. Where some cannot be read, it counts the others
// and returns the first error beside them.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	st := Stats{TaskTypes: map[string]int{}}
	var sum float64
	var firstErr error
	for ex, err := range s.All(ctx, Filter{}) {
		if err != nil {
			if firstErr == nil {
				firstErr = err
			}
			continue
		}
		st.Total++
		sum += ex.QualityScore
		st.TaskTypes[ex.TaskType]++
		if ex.QualityScore > highQuality {
			st.HighQuality++
		}
		if ex.UserFeedback != 0 {
			st.WithFeedback++
		}
		if ex.Split == SplitHeldOut {
			st.HeldOut++
		}
	}
	if st.Total > 0 {
		st.AverageQuality = sum / float64(st.Total)
	}
	st.Ready = st.Total >= ReadyExamples
	return st, firstErr
}
