package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"retort/trainer"
)

func (p *program) evalCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name:  "eval",
		Usage: "measure a model on questions with known answers",
		Description: "Each line of FILE holds {\"input\": ..., \"answer\": ...} and perhaps \"system\". An answer is right if it\n" +
			"is the same text, apart from white space around it. Answers are drawn greedily.\n\n" +
			"  retort eval --model gemma-3-270m --data heldout.jsonl --json",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "the model's `ID`; without it the model in use"},
			&cli.StringFlag{Name: "data", Usage: "`FILE` of questions"},
			&cli.IntFlag{Name: "max-tokens", Value: 64, Usage: "longest answer, in tokens"},
			&cli.BoolFlag{Name: "answers", Usage: "with --json: every answer too"},
		},
		Subcommands: []*cli.Command{p.evalEnsembleCommand(), p.evalCalibrationCommand()},
	}, runEval)
}

// evalView is what users see of a report; its JSON names are stable.
type evalView struct {
	Model            string          `json:"model"`
	N                int             `json:"n"`
	Correct          int             `json:"correct"`
	Accuracy         float64         `json:"accuracy"`
	Low              float64         `json:"low"`
	High             float64         `json:"high"`
	InputTokens      int             `json:"input_tokens"`
	OutputTokens     int             `json:"output_tokens"`
	MeanInputTokens  float64         `json:"mean_input_tokens"`
	MeanOutputTokens float64         `json:"mean_output_tokens"`
	Seconds          float64         `json:"seconds"`
	Answers          []trainer.Given `json:"answers,omitempty"`
}

func runEval(ctx context.Context, c *cli.Context, r *retort) error {
	if c.String("data") == "" {
		return usage("eval wants --data FILE")
	}
	items, err := readItems(c.String("data"))
	if err != nil {
		return err
	}
	id, err := r.modelOrCurrent(c.String("model"))
	if err != nil {
		return err
	}
	rep, err := r.evaluate(ctx, id, items, trainer.EvalOptions{MaxOutputTokens: c.Int("max-tokens")})
	if err != nil {
		return err
	}
	v := evalView{Model: id, N: rep.N, Correct: rep.Correct, Accuracy: rep.Accuracy, Low: rep.Low, High: rep.High,
		InputTokens: rep.InputTokens, OutputTokens: rep.OutputTokens,
		MeanInputTokens: rep.MeanInputTokens(), MeanOutputTokens: rep.MeanOutputTokens(), Seconds: rep.Seconds}
	if c.Bool("answers") {
		v.Answers = rep.Answers
	}
	r.printf("%s on %s\n  Accuracy: %s (%d of %d; 95%% interval %s to %s)\n  Tokens: %.1f in, %.1f out per question\n  Time: %.1fs\n",
		v.Model, c.String("data"), percent(v.Accuracy), v.Correct, v.N, percent(v.Low), percent(v.High),
		v.MeanInputTokens, v.MeanOutputTokens, v.Seconds)
	return r.object(v)
}

// evaluate measures a model with a progress bar.
func (r *retort) evaluate(ctx context.Context, id string, items []trainer.Item, opts trainer.EvalOptions) (rep trainer.Report, err error) {
	m, err := r.model(ctx, id)
	if err != nil {
		return rep, err
	}
	bar := r.bar("Asking "+id, int64(len(items)), "q")
	defer bar.end(&err)
	opts.OnItem = func(done, _ int) { bar.set(int64(done)) }
	return trainer.Evaluate(ctx, m, items, opts)
}

func readItems(path string) ([]trainer.Item, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	items, err := trainer.ReadItems(f)
	if err != nil {
		return nil, withHint(fmt.Errorf("read %q: %w", path, err), `each line wants {"input": "...", "answer": "..."}`)
	}
	if len(items) == 0 {
		return nil, fmt.Errorf("read %q: no questions", path)
	}
	return items, nil
}

// modelOrCurrent is the ID given, or that of the model in use.
func (r *retort) modelOrCurrent(id string) (string, error) {
	if id != "" {
		return id, nil
	}
	reg, err := r.registry()
	if err != nil {
		return "", err
	}
	m, err := reg.Current()
	return m.ID, withHint(err, "name one with --model, or choose one with `retort models use ID`")
}

// readQuestions reads the "input" of each line, with "system" where it has one.
func readQuestions(path string) ([]trainer.Item, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var items []trainer.Item
	for dec := json.NewDecoder(f); ; {
		var it trainer.Item
		err := dec.Decode(&it)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || it.Input == "" {
			return nil, withHint(fmt.Errorf("read %q: line %d is no question", path, len(items)+1), `each line wants {"input": "..."}`)
		}
		items = append(items, it)
	}
	return items, nil
}
