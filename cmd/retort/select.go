package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/llm"
	"retort/trainer"
)

// selectFlags are those that `examples select` and finetune share.
func selectFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "budget", Usage: "take only the `N` examples that teach most; 0 is all"},
		&cli.StringSliceFlag{Name: "language", Usage: "only responses in this language, as `CODE` (en, de, ...); may be given several times"},
		&cli.IntFlag{Name: "max-per-source", Usage: "take only the best `N` of one file or group of models; 0 is all"},
		&cli.Float64Flag{Name: "max-self-generated", Value: maxSelfGenerated, Usage: "greatest `SHARE` of what your own trained models gave, 0 to 1; 1 is no cap"},
		&cli.Float64Flag{Name: "replay", Usage: "give this `SHARE` of the budget first to examples of earlier runs, 0 to 1"},
		&cli.StringSliceFlag{Name: "include", Usage: "take example `ID` whatever its form: you have looked at it; may be given several times"},
		&cli.StringFlag{Name: "embedder", Usage: "`ID` of the model that says how far apart questions are; without it their words do"},
	}
}

func (p *program) examplesSelectCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name: "select", Usage: "choose the examples to train on, and say why not the others",
		Description: "Left out are examples whose teacher's terms forbid it, that hold a key, password or personal data\n" +
			"(email, phone, IBAN, card, IP address), that are empty, too long or a refusal, that overlap with what is\n" +
			"held out, or that repeat a better one word for word or nearly (texts of 20 words or more with 80 % of\n" +
			"their three-word runs in common; shorter ones are only compared word for word). Nothing is changed or\n" +
			"deleted. finetune chooses in the same way. The choice is written to the folder selections, named by its\n" +
			"digest; --dry-run writes nothing and explains every example that is left out.\n\n" +
			"  retort examples select --dry-run --task-type support --eval heldout.jsonl\n" +
			"  retort examples select --budget 500 --json",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "write nothing, and explain every example that is left out"},
			&cli.StringFlag{Name: "task-type", Usage: "only examples of this `TASK`"},
			&cli.Float64Flag{Name: "min-quality", Usage: "only examples of at least this quality, 0 to 1"},
			&cli.StringSliceFlag{Name: "eval", Usage: "leave out what overlaps with the questions of `FILE`; may be given several times"},
		}, selectFlags()...),
	}, runExamplesSelect)
}

// selectView is what users see of a selection; its JSON names are stable.
type selectView struct {
	Considered  int               `json:"considered"`
	Kept        int               `json:"kept"`
	Quarantined int               `json:"quarantined"` // of those left out: to be looked at
	Excluded    []clean.Exclusion `json:"excluded"`
	Triggers    []clean.Trigger   `json:"triggers"`
	Manifest    clean.Manifest    `json:"manifest"`
	File        string            `json:"file,omitempty"` // where the manifest was written
}

func runExamplesSelect(ctx context.Context, c *cli.Context, r *retort) error {
	items, err := readHeldOut(c.StringSlice("eval"))
	if err != nil {
		return err
	}
	store, err := r.store()
	if err != nil {
		return err
	}
	if !c.Bool("dry-run") {
		copied, err := r.copying(ctx)
		if err != nil {
			return err
		}
		defer copied()
	}
	train, held, err := bothSides(ctx, store, c)
	if err != nil {
		return err
	}
	sel, err := r.choose(ctx, c, train, append(items, heldOutOf(held)...))
	if err != nil {
		return err
	}
	v := selectView{Considered: len(train), Kept: len(sel.Kept), Excluded: sel.Excluded, Manifest: sel.Manifest, Triggers: clean.Triggers(sel.Kept)}
	for _, e := range sel.Excluded {
		if e.Reason.Quarantined() {
			v.Quarantined++
		}
	}
	if !c.Bool("dry-run") {
		if v.File, err = r.writeSelection(sel.Manifest); err != nil {
			return err
		}
		r.remember(cleaningOf(sel, c, "examples select"))
	}
	r.printSelection(v, c.Bool("dry-run"))
	v.Excluded = slices.Concat([]clean.Exclusion{}, v.Excluded) // [] in JSON, not null
	v.Triggers = slices.Concat([]clean.Trigger{}, v.Triggers)
	return r.object(v)
}

// bothSides returns the examples of c's task and quality, by side.
func bothSides(ctx context.Context, store exampleStore, c *cli.Context) (train, heldOut []dataset.Example, err error) {
	filter := dataset.Filter{TaskType: c.String("task-type"), MinQuality: c.Float64("min-quality")}
	for ex, err := range store.All(ctx, filter) {
		if err != nil {
			return nil, nil, err
		}
		if ex.Refused() {
			continue // neither to be imitated nor a known answer
		}
		if ex.Split == dataset.SplitTrain {
			train = append(train, ex)
		} else {
			heldOut = append(heldOut, ex)
		}
	}
	return train, heldOut, nil
}

// choose selects from train by c's flags.
func (r *retort) choose(ctx context.Context, c *cli.Context, train []dataset.Example, held []clean.HeldOut) (clean.Selection, error) {
	opts := clean.Options{HeldOut: held, Allowed: r.forbids, Parameters: clean.Parameters{
		Languages: slices.Sorted(slices.Values(c.StringSlice("language"))), MaxPerSource: c.Int("max-per-source"),
		MaxSelfGenerated: new(c.Float64("max-self-generated")), Budget: c.Int("budget"), ReplayShare: c.Float64("replay")}}
	if err := opts.Check(); err != nil {
		return clean.Selection{}, usage("%v", err)
	}
	var err error
	if opts.Include, err = included(c.StringSlice("include"), train); err != nil {
		return clean.Selection{}, err
	}
	if opts.SelfGenerated, err = r.selfGenerated(); err != nil {
		return clean.Selection{}, err
	}
	if opts.ReplayShare > 0 {
		seen := r.trainedBefore()
		opts.Replay = func(ex dataset.Example) bool { return seen[ex.ID] }
	}
	if id := c.String("embedder"); id != "" && opts.Budget > 0 {
		m, err := r.model(ctx, id)
		if err != nil {
			return clean.Selection{}, err
		}
		e, ok := llm.As[llm.Embedder](m)
		if !ok {
			return clean.Selection{}, fmt.Errorf("%q makes no embeddings: %w", id, llm.ErrUnsupported)
		}
		opts.Embedder = e
	}
	sel, err := r.choosing(ctx, train, opts)
	if opts.Embedder != nil { // a training needs its memory
		err = errors.Join(err, r.closeModels())
	}
	return sel, err
}

// manyExamples take long enough to be shown at work.
const manyExamples = 5000

func (r *retort) choosing(ctx context.Context, train []dataset.Example, opts clean.Options) (_ clean.Selection, err error) {
	if len(train) >= manyExamples || opts.Embedder != nil {
		bar := r.bar("Choosing examples", -1, "")
		defer bar.end(&err)
	}
	return clean.Select(ctx, train, opts)
}

// included are the whole IDs of the examples that the user named.
func included(names []string, examples []dataset.Example) (map[string]bool, error) {
	out := map[string]bool{}
	for _, name := range names {
		n := 0
		for _, ex := range examples {
			if name != "" && (strings.HasPrefix(ex.ID, name) || strings.HasPrefix(strings.TrimPrefix(ex.ID, "sha256:"), name)) {
				out[ex.ID] = true
				n++
			}
		}
		if n != 1 {
			return nil, usage("--include %q means %d of the examples, want one", name, n).hint("`retort examples list` shows their IDs")
		}
	}
	return out, nil
}

// selfGenerated reports of an example whether models that were trained here, and
// no others, gave its response.
func (r *retort) selfGenerated() (func(dataset.Example) bool, error) {
	reg, err := r.registry()
	if err != nil {
		return nil, err
	}
	list, err := reg.List()
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, m := range list {
		own[m.ID] = m.Run != "" || m.Parent != ""
	}
	return func(ex dataset.Example) bool {
		for _, id := range ex.Source.Models {
			if !own[registryID(id)] {
				return false
			}
		}
		return len(ex.Source.Models) > 0
	}, nil
}

// trainedBefore are the IDs of the examples of the runs that can be read.
func (r *retort) trainedBefore() map[string]bool {
	runs, damaged := trainer.ListRuns(r.path("runs"))
	if damaged != nil {
		r.note("not replayed: %s", oneLine(damaged))
	}
	seen := map[string]bool{}
	for _, run := range runs {
		for _, id := range run.Data.Examples {
			seen[id] = true
		}
	}
	return seen
}

func heldOutOf(examples []dataset.Example) []clean.HeldOut {
	var out []clean.HeldOut
	for _, ex := range examples {
		out = append(out, clean.HeldOutExample("held-out example "+shortID(ex.ID), ex))
	}
	return out
}

func readHeldOut(paths []string) ([]clean.HeldOut, error) {
	var out []clean.HeldOut
	for _, path := range paths {
		items, err := readItems(path)
		if err != nil {
			return nil, err
		}
		out = append(out, heldOutItems(filepath.Base(path), items)...)
	}
	return out, nil
}

func heldOutItems(name string, items []trainer.Item) []clean.HeldOut {
	var out []clean.HeldOut
	for i, it := range items {
		out = append(out, clean.HeldOut{Name: fmt.Sprintf("question %d of %s", i+1, name), Question: it.Input, Answer: it.Answer})
	}
	return out
}

// writeSelection keeps m under its digest; one that is there already is the same.
func (r *retort) writeSelection(m clean.Manifest) (path string, err error) {
	dir := r.path("selections")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(dir, shortID(m.Digest)+".json")
	return path, writeJSON(path, m)
}

func (r *retort) printSelection(v selectView, explain bool) {
	r.printf("Selected %d of %d examples: %s\n", v.Kept, v.Considered, shortID(v.Manifest.Digest))
	for _, reason := range clean.Reasons() {
		if n := v.Manifest.Excluded[reason]; n > 0 {
			r.printf("  %5d left out: %s\n", n, strings.ReplaceAll(string(reason), "_", " "))
		}
	}
	if explain {
		rows := [][]string{{"ID", "REASON", "WHY"}}
		for _, e := range v.Excluded {
			why := e.Detail
			if strings.HasPrefix(e.Of, "sha256:") {
				why += ", " + shortID(e.Of)
			}
			rows = append(rows, []string{shortID(e.ID), string(e.Reason), why})
		}
		if len(v.Excluded) > 0 {
			r.printf("\n")
			r.table(rows)
		}
	}
	if v.Quarantined > 0 {
		r.printf("\n%d hold a secret or personal data: look at them with `retort examples show ID`; --include ID takes one all the same\n", v.Quarantined)
	}
	r.printTriggers(v.Triggers)
	r.printf("\n%s", lineageText(v.Manifest.Lineage))
	if v.File != "" {
		r.printf("Written to %s\n", v.File)
	}
}

func (r *retort) printTriggers(triggers []clean.Trigger) {
	if len(triggers) == 0 {
		return
	}
	r.printf("\nOdd pieces of text in several of the selected examples; have a look whether they belong there:\n")
	for _, t := range triggers {
		r.printf("  %3d times %q, for example in %s\n", t.Count, t.Text, shortID(t.Examples[0]))
	}
}

// lineageText says in a line each where the examples come from.
func lineageText(l clean.Lineage) string {
	var b strings.Builder
	for _, part := range []struct {
		title  string
		counts map[string]int
	}{{"Sources", l.Sources}, {"Teachers", l.Teachers}, {"Terms", l.Terms}} {
		if len(part.counts) == 0 {
			continue
		}
		var list []string
		for _, name := range slices.Sorted(maps.Keys(part.counts)) {
			list = append(list, fmt.Sprintf("%s %d", name, part.counts[name]))
		}
		fmt.Fprintf(&b, "%s: %s\n", part.title, strings.Join(list, ", "))
	}
	return b.String()
}
