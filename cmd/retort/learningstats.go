package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/dataset/clean"
)

func (p *program) learningStatsCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name: "learning-stats", Usage: "show what has been kept for training",
		Description: "Duplicates, secrets and personal data are as the last `retort examples select` or finetune found them\n" +
			"($RETORT_HOME/" + cleaningFile + "); --check looks now.\n\n" +
			"  retort learning-stats --check",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "check", Usage: "look for duplicates, secrets and personal data now"}},
	}, runLearningStats)
}

// statsView is what users see of the store; its JSON names are stable.
type statsView struct {
	dataset.Stats
	Cleaning *cleaning `json:"cleaning"` // null: no examples have been chosen yet
}

func runLearningStats(ctx context.Context, c *cli.Context, r *retort) error {
	store, err := r.store()
	if err != nil {
		return err
	}
	s, err := store.Stats(ctx)
	if err != nil {
		return err
	}
	if c.Bool("check") {
		sel, err := r.cleanAll(ctx, c)
		if err != nil {
			return err
		}
		r.remember(cleaningOf(sel, c, "learning-stats"))
	}
	v := statsView{s, r.lastCleaning()}
	r.printSummary(s)
	if s.Total > 0 {
		r.printProgress(v, r.canvas())
	}
	return r.object(v)
}

func (r *retort) printSummary(s dataset.Stats) {
	ready := "✅ Yes"
	if !s.Ready {
		ready = fmt.Sprintf("❌ Not yet (%d examples or more)", dataset.ReadyExamples)
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
}

// printProgress prints what goes beyond the summary.
func (r *retort) printProgress(v statsView, on canvas) {
	r.printf("\n🎯 Readiness (from %d examples to train on; %d are recommended, %d ideal):\n",
		dataset.ReadyExamples, dataset.RecommendedExamples, dataset.IdealExamples)
	var rows [][]string
	for _, task := range slices.Sorted(maps.Keys(v.Tasks)) {
		rows = append(rows, readinessRow(task, v.Tasks[task]))
	}
	r.table(rows)

	r.printf("\n⭐ Feedback: %d of %d examples (%s)\n", v.WithFeedback, v.Total, percent(v.Feedback.Share))
	if v.WithFeedback > 0 {
		for stars := len(v.Feedback.Stars); stars > 0; stars-- {
			n := v.Feedback.Stars[stars-1]
			r.printf("%s\n", strings.TrimRight(fmt.Sprintf("  %d stars  %6d  %s", stars, n, on.bar(n, slices.Max(v.Feedback.Stars[:]))), " "))
		}
	}
	if v.Pairs > 0 {
		r.printf("  Preference Pairs: %d\n", v.Pairs)
	}

	r.printf("\n📜 Licence Classes:\n")
	for _, class := range []string{"open", "restricted", "unknown"} {
		if n := v.Terms[class]; n > 0 {
			r.printf("  %s: %d examples\n", class, n)
		}
	}

	r.printf("\n📈 Growth:\n")
	for _, line := range on.growth(v.Days) {
		r.printf("  %s\n", line)
	}
	r.printf("\n%s", cleaningText(v.Cleaning))
}

// readinessRow says how far a task type is from the next step.
func readinessRow(task string, t dataset.TaskStats) []string {
	next, step := dataset.ReadyExamples, "ready"
	now := string(t.Readiness)
	switch t.Readiness {
	case dataset.NotReady:
		now = "not yet"
	case dataset.Ready:
		next, step = dataset.RecommendedExamples, "recommended"
	case dataset.Recommended:
		next, step = dataset.IdealExamples, "ideal"
	case dataset.Ideal:
		return []string{"  " + firstLine(task, 24), fmt.Sprint(t.Training), now, ""}
	}
	return []string{"  " + firstLine(task, 24), fmt.Sprint(t.Training), now, fmt.Sprintf("%d more until %s", next-t.Training, step)}
}

// cleaningText says what the last cleaning found, v, which may be nil.
func cleaningText(v *cleaning) string {
	if v == nil {
		return "🧹 Cleaning: not done yet; `retort learning-stats --check` does it\n"
	}
	of := ""
	if v.TaskType != "" {
		of += " of task " + v.TaskType
	}
	if v.MinQuality > 0 {
		of += fmt.Sprintf(" of quality %g or more", v.MinQuality)
	}
	text := fmt.Sprintf("🧹 Cleaning (as of %s, %d examples to train on%s then):\n  Kept: %d\n", v.At.Local().Format("2006-01-02 15:04"), v.Considered, of, v.Kept)
	text += fmt.Sprintf("  Duplicates: %d%s\n", v.Duplicates, v.among(clean.ExactDuplicate, clean.NearDuplicate))
	text += fmt.Sprintf("  Quarantined: %d%s\n", v.Quarantined, v.among(clean.Secret, clean.PersonalData))
	var rest []clean.Reason
	for _, reason := range clean.Reasons() {
		if !reason.Quarantined() && reason != clean.ExactDuplicate && reason != clean.NearDuplicate {
			rest = append(rest, reason)
		}
	}
	if n := v.Considered - v.Kept - v.Duplicates - v.Quarantined; n > 0 {
		text += fmt.Sprintf("  Left out otherwise: %d%s\n", n, v.among(rest...))
	}
	return text
}

// among lists how many were left out for each of reasons, " (2 secret)".
func (v *cleaning) among(reasons ...clean.Reason) string {
	var list []string
	for _, reason := range reasons {
		if n := v.Excluded[reason]; n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, strings.ReplaceAll(string(reason), "_", " ")))
		}
	}
	if list == nil {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}
