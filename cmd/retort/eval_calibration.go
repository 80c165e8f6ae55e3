package main

import (
	"context"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"retort/ensemble/calibration"
)

func (p *program) evalCalibrationCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name:  "calibration",
		Usage: "measure whether answers are right as often as their confidence says",
		Description: "The measure is taken on the answers that you rated (`retort examples rate`) and on those of\n" +
			"`retort eval ensemble --learn`, for each task type apart. Each confidence is calibrated on the other\n" +
			"four fifths of these answers, so that none is measured on itself.",
		Flags: []cli.Flag{&cli.StringFlag{Name: "task-type", Usage: "only answers of this `TASK`"}},
	}, runEvalCalibration)
}

// calibrationView is how well confidence holds on one task type; its JSON names
// are stable.
type calibrationView struct {
	TaskType   string             `json:"task_type"`
	Rated      int                `json:"rated"`
	Calibrated bool               `json:"calibrated"` // Rated is enough
	Raw        calibration.Report `json:"raw"`
	Report     calibration.Report `json:"report"` // cross-fitted; empty unless calibrated
}

func runEvalCalibration(ctx context.Context, c *cli.Context, r *retort) error {
	known, err := r.learnt(ctx)
	if err != nil {
		return err
	}
	views := []calibrationView{}
	for _, taskType := range slices.Sorted(maps.Keys(known.points)) {
		if want := c.String("task-type"); want != "" && want != taskType {
			continue
		}
		points := known.points[taskType]
		v := calibrationView{TaskType: taskType, Rated: len(points), Raw: calibration.Measure(points)}
		if v.Calibrated = len(points) >= calibration.Least; v.Calibrated {
			v.Report = calibration.Measure(calibration.CrossFit(points, confidenceFolds))
		}
		views = append(views, v)
	}
	if len(views) == 0 {
		r.printf("Uncalibrated: no answer has a rating yet. `retort examples rate ID STARS` gives one.\n")
	}
	for _, v := range views {
		if !v.Calibrated {
			r.printf("%s: uncalibrated, %d of %d rated answers\n", v.TaskType, v.Rated, calibration.Least)
			continue
		}
		r.printf("%s, raw:\n", v.TaskType)
		printReliability(r, v.Raw)
		r.printf("%s, calibrated:\n", v.TaskType)
		printReliability(r, v.Report)
	}
	return r.object(views)
}
