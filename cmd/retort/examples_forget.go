package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"retort/dataset"
)

func forgetCommand() *cli.Command {
	return &cli.Command{Name: "forget", Usage: "remove examples for good, wherever Retort has their text", ArgsUsage: "[ID ...]",
		Description: "Removes examples from the store and its journal, from the exports that Retort wrote (unless you changed them),\n" +
			"from run folders, selections and distil jobs, and marks the models that were trained on them as stale. Give IDs, or\n" +
			"--match, or --source, or both of these. What was cut short is done again by the same command. Not reached are\n" +
			"backups (written anew at the next `examples backup`), your own copies, and what a model has learnt.\n\n" +
			"  retort examples forget 3f2a\n  retort examples forget --match 'Jane Doe' --dry-run",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "match", Usage: "those with this `TEXT` in question, response or another answer, in either case"},
			&cli.StringFlag{Name: "source", Usage: "those of this `NAME`: a file, a kind (ensemble, import, manual) or a model"},
			&cli.BoolFlag{Name: "dry-run", Usage: "only list what would go, and what else is touched"},
			&cli.BoolFlag{Name: "yes", Usage: "do not ask, for scripts"},
		}}
}

// forgetView is what users see of a forgetting; its JSON names are stable.
type forgetView struct {
	Forgotten   int      `json:"forgotten"`
	IDs         []string `json:"ids"`
	Exports     []string `json:"exports"`      // written anew
	ExportsLeft []string `json:"exports_left"` // changed or moved since: theirs to look at
	Runs        []string `json:"runs"`
	StaleModels []string `json:"stale_models"`
	Files       []string `json:"files"`     // of selections and distil jobs
	AlsoIn      []string `json:"also_in"`   // IDs of examples that keep an answer of these as a worse one
	Compacted   bool     `json:"compacted"` // the text is out of the store's files
	DryRun      bool     `json:"dry_run"`
}

func runExamplesForget(ctx context.Context, c *cli.Context, r *retort) error {
	wish, err := forgetWishOf(c)
	if err != nil {
		return err
	}
	if !c.Bool("yes") && !c.Bool("dry-run") && !r.canAsk() {
		return usage("forgetting cannot be undone, and nobody is there to ask").hint("--yes forgets without asking, --dry-run only lists")
	}
	store, err := r.store()
	if err != nil {
		return err
	}
	chosen, err := wish.choose(ctx, store)
	if err != nil {
		return err
	}
	if c.Bool("yes") {
		done, err := r.forgetting(ctx)
		if err != nil {
			return err
		}
		defer done()
	}
	reach, err := r.reach(ctx, store, chosen)
	if err != nil {
		return err
	}
	r.printReach(reach)
	view := reach.view()
	view.DryRun = c.Bool("dry-run")
	switch {
	case len(chosen) == 0 || view.DryRun:
		return errors.Join(r.object(view), reach.unread)
	case !c.Bool("yes"):
		ok, err := r.confirm(ctx, fmt.Sprintf("Forget %s for good?", count(len(chosen), "example")))
		if err != nil || !ok {
			return errors.Join(err, r.object(view))
		}
		done, err := r.forgetting(ctx)
		if err != nil {
			return err
		}
		defer done()
		if reach, err = r.reach(ctx, store, chosen); err != nil { // they may have taken their time
			return err
		}
	}
	return r.forget(ctx, store, reach)
}

// forgetWish says which examples are to be forgotten.
type forgetWish struct {
	ids           []string
	match, source string
}

func forgetWishOf(c *cli.Context) (forgetWish, error) {
	w := forgetWish{c.Args().Slice(), strings.ToLower(c.String("match")), c.String("source")}
	for _, flag := range []string{"match", "source"} {
		if c.IsSet(flag) && strings.TrimSpace(c.String(flag)) == "" {
			return w, usage("--%s is empty", flag)
		}
	}
	byText := w.match != "" || w.source != ""
	switch {
	case len(w.ids) > 0 && byText:
		return w, usage("examples forget wants IDs, or --match and --source, not both")
	case len(w.ids) == 0 && !byText:
		return w, usage("examples forget wants IDs, --match or --source").hint("`retort examples list` shows the IDs")
	}
	return w, nil
}

// choose returns the examples that are meant, each once.
func (w forgetWish) choose(ctx context.Context, store exampleStore) (chosen []dataset.Example, err error) {
	for _, id := range w.ids {
		ex, err := store.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(chosen, func(other dataset.Example) bool { return other.ID == ex.ID }) {
			chosen = append(chosen, ex)
		}
	}
	if len(w.ids) > 0 {
		return chosen, nil
	}
	for ex, err := range store.All(ctx, dataset.Filter{}) {
		if err != nil {
			return nil, err
		}
		if w.meansText(ex) && w.meansSource(ex.Source) {
			chosen = append(chosen, ex)
		}
	}
	return chosen, nil
}

func (w forgetWish) meansSource(s dataset.Source) bool {
	return w.source == "" || w.source == s.Name || w.source == s.Kind ||
		slices.ContainsFunc(s.Models, func(id string) bool { return id == w.source || registryID(id) == registryID(w.source) })
}

func (w forgetWish) meansText(ex dataset.Example) bool {
	return w.match == "" || slices.ContainsFunc(textsOf(ex), func(text string) bool { return strings.Contains(strings.ToLower(text), w.match) })
}

// textsOf is all that somebody said in an example.
func textsOf(ex dataset.Example) []string {
	out := append([]string{ex.Response}, ex.Rejected...)
	for _, m := range ex.Messages {
		out = append(out, m.Content)
		for _, call := range m.ToolCalls {
			out = append(out, string(call.Arguments))
		}
	}
	for _, cand := range ex.Candidates {
		out = append(out, cand.Response, cand.Error)
	}
	return out
}

// kinOf are the IDs of other examples that keep the response of one of those that
// were chosen: as a worse answer to the same question.
func kinOf(ctx context.Context, store exampleStore, chosen []dataset.Example) (ids []string, err error) {
	going := map[string]bool{}
	for _, ex := range chosen {
		going[ex.ID] = true
	}
	for ex, err := range store.All(ctx, dataset.Filter{}) {
		if err != nil {
			return nil, err
		}
		if going[ex.ID] {
			continue
		}
		if slices.ContainsFunc(ex.Rejected, func(text string) bool { // the same question with that answer
			return going[dataset.Identify(dataset.Example{Messages: ex.Messages, Response: text}).ID]
		}) {
			ids = append(ids, ex.ID)
		}
	}
	return ids, nil
}

// canAsk reports whether a person can answer a question.
func (r *retort) canAsk() bool {
	in, ok := r.p.stdin.(*os.File)
	return ok && isTerminal(in)
}

// confirm asks a question that is answered by y or yes; all else is no.
func (r *retort) confirm(ctx context.Context, question string) (bool, error) {
	fmt.Fprintf(r.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(interruptible(ctx, r.p.stdin)).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	r.note("Nothing was forgotten.")
	return false, nil
}

// count is a number with its word, in the plural where it is one.
func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
