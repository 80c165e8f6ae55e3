package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/dataset/forms"
)

func rateCommand() *cli.Command {
	return &cli.Command{Name: "rate", Usage: "say how good an example is", ArgsUsage: "ID STARS",
		Description: "STARS is 1 (bad) to 5 (very good), or up (5) or down (1). With --better they may be left out (2).\n\n" +
			"  retort examples rate 3f2a 4\n  retort examples rate 3f2a --better 'Paris, since 987.'",
		Flags: []cli.Flag{&cli.StringFlag{Name: "better", Usage: "keep this `TEXT` as the better answer, and both as a pair"}}}
}

// starsWithBetter is what an answer gets when the user only gives a better one.
const starsWithBetter = 2

func runExamplesRate(ctx context.Context, c *cli.Context, r *retort) error {
	better := strings.TrimSpace(c.String("better"))
	if c.IsSet("better") && better == "" {
		return usage("--better is empty")
	}
	stars := starsWithBetter
	if c.NArg() != 1 || better == "" {
		if c.NArg() != 2 {
			return usage("examples rate wants an ID and 1 to 5 stars")
		}
		var err error
		if stars, err = parseStars(c.Args().Get(1)); err != nil {
			return err
		}
	}
	store, err := r.store()
	if err != nil {
		return err
	}
	if better != "" {
		return r.prefer(ctx, store, dataset.Preference{ID: c.Args().First(), Stars: stars, Better: better})
	}
	ex, err := store.Rate(ctx, c.Args().First(), stars)
	if err != nil {
		return err
	}
	r.printf("Rated %s with %d of 5; its quality is now %.2f\n", shortID(ex.ID), stars, ex.QualityScore)
	return r.object(ex)
}

func parseStars(text string) (int, error) {
	switch text {
	case "up":
		return forms.ThumbUp, nil
	case "down":
		return forms.ThumbDown, nil
	}
	stars, err := strconv.Atoi(text)
	if err != nil || stars < 1 || stars > 5 {
		return 0, usage("%q is no rating", text).hint("give 1 (bad) to 5 (very good) stars, or up or down")
	}
	return stars, nil
}

func (r *retort) prefer(ctx context.Context, store exampleStore, wish dataset.Preference) error {
	worse, better, err := store.Prefer(ctx, wish)
	if err != nil {
		return err
	}
	r.printf("Rated %s with %d of 5 and kept %s as the better answer\n", shortID(worse.ID), wish.Stars, shortID(better.ID))
	return r.object(map[string]dataset.Example{"rejected": worse, "chosen": better})
}

func runExamplesPairs(ctx context.Context, c *cli.Context, r *retort) error {
	filter, err := exampleFilter(c)
	if err != nil {
		return err
	}
	filter.Limit = 0 // counts examples, not pairs
	store, err := r.store()
	if err != nil {
		return err
	}
	list := []forms.Pair{}
	rows := [][]string{{"ID", "FROM", "QUESTION", "CHOSEN", "REJECTED"}}
	for p, err := range forms.Pairs(store.All(ctx, filter), c.Float64("margin")) {
		if err != nil {
			return err
		}
		list = append(list, p)
		rows = append(rows, []string{shortID(p.ID), string(p.Origin), firstLine(lastUser(p.Prompt), 40),
			firstLine(p.Chosen, 32), firstLine(p.Rejected, 32)})
		if len(list) == c.Int("limit") {
			break
		}
	}
	if len(list) == 0 {
		r.printf("No pairs. `retort examples rate ID --better TEXT` makes one.\n")
	} else {
		r.table(rows)
	}
	return r.object(list)
}
