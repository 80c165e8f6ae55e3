package dataset

import (
	"context"
	"fmt"
	"maps"
)

// How many training examples are worth a first fine-tuning, are recommended for
// one, and are ideal.
const (
	ReadyExamples       = 100
	RecommendedExamples = 500
	IdealExamples       = 1000
)

// highQuality is the score above which an example counts as of high quality.
const highQuality = 0.8

// Stats sums up a store. Its JSON names are stable, and its JSON holds all of it.
type Stats struct {
	Total          int            `json:"total_examples"`
	HighQuality    int            `json:"high_quality_examples"` // QualityScore above 0.8
	AverageQuality float64        `json:"average_quality"`       // 0 for an empty store
	WithFeedback   int            `json:"examples_with_feedback"`
	HeldOut        int            `json:"held_out_examples"`
	TaskTypes      map[string]int `json:"task_types"`
	Ready          bool           `json:"ready_for_finetuning"` // Total is at least ReadyExamples

	Tasks    map[string]TaskStats `json:"tasks"` // by task type
	Feedback Feedback             `json:"feedback"`
	Agreed   int                  `json:"agreed_examples"`        // several models gave the response
	Terms    map[string]int       `json:"terms"`                  // by class: open, restricted, unknown
	Kinds    map[string]int       `json:"source_kinds"`           // by Source.Kind
	Models   map[string]int       `json:"member_models"`          // kept answers that each model gave, alone or with others
	Days     map[string]int       `json:"created_by_day"`         // new examples of each UTC day, "2006-01-02"
	Pairs    int                  `json:"preference_pairs"`       // rejected answers, each with the response that is better
	Rejected int                  `json:"examples_with_rejected"` // examples that have such answers
}

// TaskStats sums up the examples of one task type.
type TaskStats struct {
	Total        int       `json:"total_examples"`
	HighQuality  int       `json:"high_quality_examples"`
	WithFeedback int       `json:"examples_with_feedback"`
	HeldOut      int       `json:"held_out_examples"`
	Training     int       `json:"training_examples"` // on the train side, and not rated 1 or 2
	Readiness    Readiness `json:"readiness"`         // of Training
}

// Feedback sums up the user's ratings.
type Feedback struct {
	Stars [5]int  `json:"stars"` // examples with 1, 2, ... 5 stars
	Share float64 `json:"share"` // of all examples that are rated, 0 to 1
}

// Readiness says what a number of training examples is good for.
type Readiness string

// The steps of readiness.
const (
	NotReady    Readiness = "none"
	Ready       Readiness = "ready"
	Recommended Readiness = "recommended"
	Ideal       Readiness = "ideal"
)

// ReadinessOf returns the step that so many training examples have reached.
func ReadinessOf(training int) Readiness {
	switch {
	case training >= IdealExamples:
		return Ideal
	case training >= RecommendedExamples:
		return Recommended
	case training >= ReadyExamples:
		return Ready
	}
	return NotReady
}

// Stats returns the sums over all examples, which are kept up to date by each
// change. The first time after a process was killed it reads all examples; where
// some of them cannot be read, it counts the others and returns the first error
// beside them.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	if err := s.enter(); err != nil {
		return Stats{}, fmt.Errorf("read examples: %w", err)
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return Stats{}, fmt.Errorf("read examples: %w", err)
	}
	if err := s.arrived(); err != nil {
		return Stats{}, fmt.Errorf("read examples: %w", err)
	}
	if st, ok := s.sums.stats(); ok {
		return st, nil
	}
	if s.readOnly != nil {
		t, err := s.count(ctx)
		return t.stats(), err
	}
	var st Stats
	// The committer counts what is committed; the changes it has in hand are added
	// when they are, too.
	err := s.committer.submit(ctx, func(*batch) error {
		t, err := s.count(ctx)
		st = t.stats()
		if err == nil {
			s.sums.set(t)
		}
		return err
	})
	if err != nil && ctx.Err() != nil {
		return Stats{}, err // st may still be written to
	}
	return st, err
}

// count reads all examples, within a call.
func (s *Store) count(ctx context.Context) (*tally, error) {
	t := newTally()
	var firstErr error
	for ex, err := range decoded(s.scanWithin(ctx), stored.example) {
		if err == nil {
			t.add(ex)
		} else if firstErr == nil {
			firstErr = fmt.Errorf("read examples: %w", err)
		}
	}
	return t, firstErr
}

// stats returns the sums; they share nothing with t.
func (t *tally) stats() Stats {
	st := Stats{Total: t.Total, HighQuality: t.HighQuality, TaskTypes: map[string]int{}, Ready: t.Total >= ReadyExamples,
		Tasks: map[string]TaskStats{}, Feedback: Feedback{Stars: t.Stars}, Agreed: t.Agreed, Pairs: t.Pairs, Rejected: t.Preferred,
		Terms: maps.Clone(t.Terms), Kinds: maps.Clone(t.Kinds), Models: maps.Clone(t.Models), Days: maps.Clone(t.Days)}
	for name, task := range t.Tasks {
		st.TaskTypes[name] = task.Total
		st.WithFeedback += task.Rated
		st.HeldOut += task.HeldOut
		st.Tasks[name] = TaskStats{Total: task.Total, HighQuality: task.HighQuality, WithFeedback: task.Rated,
			HeldOut: task.HeldOut, Training: task.Training, Readiness: ReadinessOf(task.Training)}
	}
	if t.Total > 0 {
		st.AverageQuality = float64(t.Quality) / micro / float64(t.Total)
		st.Feedback.Share = float64(st.WithFeedback) / float64(t.Total)
	}
	return st
}
