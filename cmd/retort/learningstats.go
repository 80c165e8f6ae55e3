package main

import (
	"context"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"
)

func (p *program) learningStatsCommand() *cli.Command {
	return p.verb(&cli.Command{Name: "learning-stats", Usage: "show what has been kept for training"}, runLearningStats)
}

func runLearningStats(ctx context.Context, _ *cli.Context, r *retort) error {
	store, err := r.store()
	if err != nil {
		return err
	}
	s, err := store.Stats(ctx)
	if err != nil {
		return err
	}
	ready := "✅ Yes"
	if !s.Ready {
		ready = "❌ Not yet (100 examples or more)"
	}
	r.printf("📚 Continuous Learning Statistics\n\nTraining Data Summary:\n")
	r.printf("  Total Examples: %d\n  High Quality (>0.8): %d\n  Ready for Fine-tuning: %s\n  Average Quality: %.2f\n  Examples with Feedback: %d\n",
		s.Total, s.HighQuality, ready, s.AverageQuality, s.WithFeedback)
	if len(s.TaskTypes) > 0 {
		r.printf("\n📊 Task Distribution:\n")
	}
	for _, task := range slices.Sorted(maps.Keys(s.TaskTypes)) {
		r.printf("  %s: %d examples\n", task, s.TaskTypes[task])
	}
	return r.object(s)
}
