package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/llm"
	"retort/models"
)

func (p *program) examplesCommand() *cli.Command {
	filter := []cli.Flag{
		&cli.StringFlag{Name: "task-type", Usage: "only examples of this `TASK`"},
		&cli.Float64Flag{Name: "min-quality", Usage: "only examples of at least this quality, 0 to 1"},
		&cli.StringFlag{Name: "split", Usage: "only this side: train or heldout"},
	}
	margin := &cli.Float64Flag{Name: "margin", Value: forms.DefaultMargin,
		Usage: "make a pair of two candidates when their scores are this far apart; 0 is never"}
	return group("examples", "look at, add, rate and exchange the kept examples",
		p.verb(&cli.Command{Name: "list", Usage: "print one line for each example, oldest first",
			Flags: append([]cli.Flag{&cli.IntFlag{Name: "limit", Usage: "print at most `N`; 0 is all"}}, filter...)}, runExamplesList),
		p.verb(showCommand(), runExamplesShow),
		p.verb(&cli.Command{Name: "add", Usage: "keep an answer of your own", Flags: []cli.Flag{
			&cli.StringFlag{Name: "input", Usage: "what is asked"},
			&cli.StringFlag{Name: "response", Usage: "what the answer should be"},
			&cli.StringFlag{Name: "system", Usage: "standing `INSTRUCTIONS`"},
			&cli.StringFlag{Name: "task-type", Value: "general", Usage: "what kind of `TASK` this is"},
			&cli.Float64Flag{Name: "quality", Value: 1, Usage: "how good it is, 0 to 1"},
		}}, runExamplesAdd),
		p.verb(rateCommand(), runExamplesRate),
		p.verb(&cli.Command{Name: "pairs", Usage: "print which answers are known to be better than which",
			Description: "Pairs come from `rate --better`, from imports, from stars for several answers to a question, and from\n" +
				"candidates of an ensemble with clearly different scores. The formats trl-dpo and trl-kto export them.",
			Flags: append([]cli.Flag{&cli.IntFlag{Name: "limit", Usage: "print at most `N`; 0 is all"}, margin}, filter...)}, runExamplesPairs),
		p.verb(exportCommand(append([]cli.Flag{margin}, filter...)), runExamplesExport),
		p.verb(importCommand(), runExamplesImport),
		p.examplesSelectCommand(),
		p.verb(forgetCommand(), runExamplesForget),
		p.verb(fsckCommand(), runExamplesFsck),
		p.verb(backupCommand(), runExamplesBackup),
		p.verb(restoreCommand(), runExamplesRestore),
	)
}

func exampleFilter(c *cli.Context) (dataset.Filter, error) {
	split := dataset.Split(c.String("split"))
	if split != "" && split != dataset.SplitTrain && split != dataset.SplitHeldOut {
		return dataset.Filter{}, usage("unknown split %q (known: train, heldout)", split)
	}
	return dataset.Filter{TaskType: c.String("task-type"), MinQuality: c.Float64("min-quality"), Split: split, Limit: c.Int("limit")}, nil
}

func runExamplesList(ctx context.Context, c *cli.Context, r *retort) error {
	filter, err := exampleFilter(c)
	if err != nil {
		return err
	}
	store, err := r.store()
	if err != nil {
		return err
	}
	list := []dataset.Example{}
	rows := [][]string{{"ID", "QUALITY", "TASK", "SPLIT", "QUESTION", "RESPONSE"}}
	for ex, err := range store.All(ctx, filter) {
		if err != nil {
			return err
		}
		list = append(list, ex)
		rows = append(rows, []string{shortID(ex.ID), fmt.Sprintf("%.2f", ex.QualityScore), ex.TaskType, string(ex.Split),
			firstLine(lastUser(ex.Messages), 48), firstLine(ex.Response, 32)})
	}
	if len(list) == 0 {
		r.printf("No examples.\n")
	} else {
		r.table(rows)
	}
	return r.object(list)
}

func lastUser(messages []llm.Message) string {
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Role == llm.RoleUser {
			return messages[i].Content
		}
	}
	return ""
}

func runExamplesAdd(ctx context.Context, c *cli.Context, r *retort) error {
	ex := dataset.Example{Response: strings.TrimSpace(c.String("response")), QualityScore: c.Float64("quality"),
		TaskType: c.String("task-type"), Source: dataset.Source{Kind: dataset.KindManual, Terms: models.TermsOpen}}
	if s := c.String("system"); s != "" {
		ex.Messages = append(ex.Messages, llm.System(s))
	}
	ex.Messages = append(ex.Messages, llm.User(c.String("input")))
	if ex.Response == "" || strings.TrimSpace(c.String("input")) == "" {
		return usage("examples add wants an --input and a --response")
	}
	ex, err := r.given(ex)
	if err != nil {
		return err
	}
	store, err := r.store()
	if err != nil {
		return err
	}
	n, err := store.Put(ctx, ex)
	if err != nil {
		return err
	}
	r.printf("%s %s\n", map[bool]string{true: "Kept as example", false: "Already there:"}[n == 1], shortID(ex.ID))
	return r.object(ex)
}

// given completes an example that the user vouches for: its quality is theirs
// to say, so the policy scores it but does not refuse it.
func (r *retort) given(ex dataset.Example) (dataset.Example, error) {
	if q := ex.QualityScore; !(q >= 0 && q <= 1) {
		return ex, usage("quality is %g, want 0 to 1", q)
	}
	if !validTaskType(ex.TaskType) {
		return ex, badTaskType(ex.TaskType)
	}
	return dataset.Identify(r.scored(ex)), nil
}
