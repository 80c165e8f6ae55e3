package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"retort/dataset"
	"retort/ensemble"
	"retort/ensemble/calibration"
	"retort/ensemble/routing"
)

// learnt is what earlier questions teach: how often each model is right, and
// what confidence was worth.
type learnt struct {
	skills routing.Skills
	speeds map[string]speed               // by the registry's name of the model
	points map[string][]calibration.Point // by task type
}

func newLearnt() learnt {
	return learnt{skills: routing.Skills{}, speeds: map[string]speed{}, points: map[string][]calibration.Point{}}
}

// learnt reads the log of queries and the owner's ratings. Without a store, or
// with an empty one, nothing is known.
func (r *retort) learnt(ctx context.Context) (learnt, error) {
	l := newLearnt()
	if _, err := os.Stat(r.path("store")); errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	store, err := r.store()
	if err != nil {
		return l, err
	}
	log, err := allQueries(ctx, store)
	if err != nil {
		return l, err
	}
	stars, err := ratings(ctx, store, log)
	if err != nil {
		return l, err
	}
	for _, q := range log {
		l.add(q, starsOf(q, stars))
	}
	return l, nil
}

func allQueries(ctx context.Context, store exampleStore) (log []dataset.Query, err error) {
	for q, err := range store.Queries(ctx) {
		if err != nil {
			return nil, err
		}
		log = append(log, q)
	}
	return log, nil
}

// ratings are the owner's stars on the answers of log that were kept, by the ID
// of the example. One that is gone has none.
func ratings(ctx context.Context, store exampleStore, log []dataset.Query) (map[string]int, error) {
	out := map[string]int{}
	for _, q := range log {
		if _, seen := out[q.ExampleID]; seen || q.ExampleID == "" {
			continue
		}
		ex, err := store.Get(ctx, q.ExampleID)
		if err != nil && !errors.Is(err, dataset.ErrNotFound) {
			return nil, err
		}
		out[q.ExampleID] = ex.UserFeedback
	}
	return out, nil
}

// starsOf is what the answer to q was worth, 1 to 5, or 0 if nobody said.
func starsOf(q dataset.Query, ratings map[string]int) int {
	switch {
	case q.Right == nil:
		return ratings[q.ExampleID]
	case *q.Right:
		return 5
	}
	return 1
}

func (l learnt) add(q dataset.Query, stars int) {
	if stars > 0 {
		l.points[q.TaskType] = append(l.points[q.TaskType], calibration.Point{Confidence: q.Raw, Right: float64(stars-1) / 4})
	}
	backed := map[string]bool{}
	for _, m := range q.Members {
		if m.Answered && m.OutputTokens > 0 {
			v := l.speeds[registryID(m.Model)]
			l.speeds[registryID(m.Model)] = speed{v.tokens + float64(m.OutputTokens), v.seconds + m.Seconds}
		}
		if m.Answered {
			backed[registryID(m.Model)] = m.Backed
		}
	}
	if q.Answered {
		l.skills.Learn(q.TaskType, stars, backed)
	}
}

// speed sums up the answers that a model wrote here.
type speed struct{ tokens, seconds float64 }

// rate is tokens per second, or 0 where nothing is known.
func (s speed) rate() float64 {
	if s.seconds == 0 {
		return 0
	}
	return s.tokens / s.seconds
}

// calibrate is ensemble.Options.Calibrate from the owner's ratings: false for a
// task type that has too few of them.
func (l learnt) calibrate() func(string, float64) (float64, bool) {
	curves := map[string]calibration.Curve{}
	for taskType, points := range l.points {
		if len(points) >= calibration.Least {
			curves[taskType] = calibration.Fit(points)
		}
	}
	return func(taskType string, raw float64) (float64, bool) {
		curve, ok := curves[taskType]
		return curve.At(raw), ok
	}
}

// queryOf is the log's record of an outcome.
func queryOf(o ensemble.Outcome, kind string) dataset.Query {
	s := o.Signals
	q := dataset.Query{Kind: kind, Strategy: string(o.Strategy), TaskType: o.TaskType, Method: o.Method,
		Answered: o.Answer != "", Confidence: o.Confidence, Raw: s.Raw(), Calibrated: o.Calibrated,
		Signals: map[string]float64{"agreement": s.Agreement, "margin": s.Margin, "concentration": s.Concentration, "length": s.Length},
		CostUSD: o.CostUSD, Seconds: o.Elapsed.Seconds()}
	if s.JudgeMargin != nil {
		q.Signals["judge_margin"] = *s.JudgeMargin
	}
	if s.CrossLikelihood != nil {
		q.Signals["cross_likelihood"] = *s.CrossLikelihood
	}
	for _, m := range o.Members {
		if m.Skipped && m.Samples == 0 && m.Err == nil {
			q.Members = append(q.Members, dataset.QueryMember{Model: m.Model, Skipped: true})
			continue
		}
		qm := dataset.QueryMember{Model: m.Model, Answered: m.Samples > 0, Backed: m.Backs(o), Skipped: m.Skipped, Samples: m.Samples,
			Share: m.Share, InputTokens: m.Usage.InputTokens, OutputTokens: m.Usage.OutputTokens, CostUSD: m.CostUSD, Seconds: m.Latency.Seconds()}
		if m.Err != nil {
			qm.Error = oneLine(m.Err)
		}
		q.Members = append(q.Members, qm)
	}
	return q
}
