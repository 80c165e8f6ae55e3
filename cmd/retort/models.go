package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"retort/ensemble/routing"
	"retort/models"
)

func (p *program) modelsCommand() *cli.Command {
	return group("models", "list, import and choose models",
		p.verb(&cli.Command{Name: "list", Usage: "print the models there are; * is the one in use", Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "every model that could be asked, those of remote providers included, with costs and scores"},
		}}, runModelsList),
		p.verb(&cli.Command{Name: "show", Usage: "print all that is known of a model", ArgsUsage: "ID"}, runModelsShow),
		p.verb(&cli.Command{Name: "import", Usage: "add a GGUF file", ArgsUsage: "FILE", Flags: []cli.Flag{
			&cli.StringFlag{Name: "id", Usage: "`NAME` for it; without it the file's own"},
			&cli.StringFlag{Name: "license", Usage: "`LICENSE` it comes with"},
			&cli.StringFlag{Name: "template", Usage: "chat template: a built-in `NAME` such as plain or chatml"},
			&cli.BoolFlag{Name: "link", Usage: "refer to the file where it lies, without a copy"},
		}}, runModelsImport),
		p.verb(&cli.Command{Name: "pull", Usage: "let a running Ollama fetch a model", ArgsUsage: "ollama/NAME"}, runModelsPull),
		p.verb(&cli.Command{Name: "export", Usage: "give a model to a running Ollama", ArgsUsage: "ID", Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "ollama or ollama:`NAME`"},
			&cli.BoolFlag{Name: "merge", Usage: "merge an adapter into its base first, also where Ollama can apply it"},
			&cli.StringFlag{Name: "quantization", Value: "Q8_0", Usage: "`TYPE` of what is merged"},
			&cli.StringFlag{Name: "question", Value: "What is the capital of France?", Usage: "asked of both engines, to compare"},
			&cli.BoolFlag{Name: "no-check", Usage: "do not compare"},
		}}, runModelsExport),
		p.verb(&cli.Command{Name: "use", Usage: "make a model the one in use", ArgsUsage: "ID"}, runModelsUse),
		p.verb(&cli.Command{Name: "rollback", Usage: "go back to the model that was in use before"}, runModelsRollback),
		p.verb(&cli.Command{Name: "merge", Usage: "write an adapter into a copy of its base", ArgsUsage: "ID", Flags: []cli.Flag{
			&cli.StringFlag{Name: "id", Usage: "`NAME` for the result; without it ID-merged"},
			&cli.StringFlag{Name: "quantization", Value: "Q8_0", Usage: "`TYPE` of the result; the base's own, such as Q4_K_M, makes it as small as that"},
		}}, runModelsMerge),
		p.verb(&cli.Command{Name: "rm", Usage: "delete a model", ArgsUsage: "ID"}, runModelsRemove),
	)
}

// named opens the registry for a verb whose single argument is a model's ID.
func (r *retort) named(c *cli.Context) (*models.Registry, string, error) {
	if c.NArg() != 1 {
		return nil, "", usage("models %s wants one argument", c.Command.Name).hint("`retort models list` shows the models")
	}
	reg, err := r.registry()
	return reg, registryID(c.Args().First()), err
}

type modelView struct {
	models.Manifest
	Current bool        `json:"current"`
	Skills  []skillView `json:"skills,omitempty"` // on the task types that it has a record on
}

// skillView is how often a model is right on a task type, as far as is known.
type skillView struct {
	TaskType string  `json:"task_type"`
	WinRate  float64 `json:"win_rate"`
	Spread   float64 `json:"spread"` // standard deviation
	Outcomes float64 `json:"outcomes"`
}

// skillsOf are what earlier questions taught of a model.
func skillsOf(skills routing.Skills, id string) (out []skillView) {
	for key, seen := range skills {
		if key.Model == id {
			b := skills.Of(id, key.TaskType, catalogueQuality(id, key.TaskType))
			out = append(out, skillView{key.TaskType, b.Mean(), b.Spread(), seen.Wins + seen.Losses})
		}
	}
	slices.SortFunc(out, func(a, b skillView) int { return strings.Compare(a.TaskType, b.TaskType) })
	return out
}

func skillWords(skills []skillView) string {
	var words []string
	for _, s := range skills {
		words = append(words, fmt.Sprintf("%s %.0f±%.0f %%", s.TaskType, 100*s.WinRate, 100*s.Spread))
	}
	return strings.Join(words, ", ")
}

// currentID is the model in use, or "" where none was chosen.
func (r *retort) currentID() (string, error) {
	reg, err := r.registry()
	if err != nil {
		return "", err
	}
	m, err := reg.Current()
	if errors.Is(err, models.ErrNotFound) {
		return "", nil
	}
	return m.ID, err
}

func runModelsList(ctx context.Context, c *cli.Context, r *retort) error {
	if c.Bool("all") {
		return r.allModels(ctx)
	}
	reg, err := r.registry()
	if err != nil {
		return err
	}
	current, err := r.currentID()
	if err != nil {
		return err
	}
	list, err := reg.List()
	if err != nil {
		return err
	}
	known, err := r.learnt(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil { // the models are there all the same
		r.note("win rates are left out: %s", oneLine(err))
	}
	views := []modelView{}
	rows := [][]string{{"", "ID", "KIND", "ARCHITECTURE", "TYPE", "SIZE", "PARENT", "GATE", "STALE", "WIN RATE"}}
	for _, m := range append(list, r.storedModels()...) {
		skills := skillsOf(known.skills, m.ID)
		views = append(views, modelView{m, m.ID == current, skills})
		rows = append(rows, []string{map[bool]string{true: "*"}[m.ID == current], m.ID, string(m.Kind), m.Architecture,
			m.Quantization, megabytes(m.Size), m.Parent, gateWord(m.Gate), map[bool]string{true: "stale"}[m.Stale != nil], skillWords(skills)})
	}
	if len(views) == 0 {
		r.printf("No models. `retort setup` brings two small ones.\n")
	} else {
		r.table(rows)
	}
	return r.object(views)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func gateWord(g *models.Gate) string {
	switch {
	case g == nil:
		return ""
	case g.Passed:
		return "passed"
	}
	return "not passed"
}

func runModelsShow(_ context.Context, c *cli.Context, r *retort) error {
	if name, ok := strings.CutPrefix(c.Args().First(), storePrefix); ok && c.NArg() == 1 {
		return r.showStored(name)
	}
	reg, id, err := r.named(c)
	if err != nil {
		return err
	}
	current, err := r.currentID()
	if err != nil {
		return err
	}
	m, err := reg.Get(id)
	if err != nil {
		return err
	}
	view, template := modelView{Manifest: m, Current: id == current}, templateFor(reg, id)
	if r.asJSON {
		return r.object(modelDetail{view, template})
	}
	// A manifest is short and its field names are the documentation's: people
	// get it in the same words as machines do.
	text, err := json.MarshalIndent(view, "", "  ")
	r.printf("%s\n  %s\n\nChat template (%s, %s):\n%s\n", text, reg.Path(m), template.Source, template.Digest, template.Text)
	return err
}

func runModelsImport(ctx context.Context, c *cli.Context, r *retort) (err error) {
	if c.NArg() != 1 {
		return usage("models import wants one FILE")
	}
	path := c.Args().First()
	id := c.String("id")
	if id == "" {
		id = models.IDFromFile(path)
	}
	reg, err := r.registry()
	if err != nil {
		return err
	}
	bar := r.bar("Importing "+filepath.Base(path), 100, "%")
	defer bar.end(&err)
	m, err := reg.Import(ctx, path, models.ImportOptions{ID: id, License: c.String("license"), Source: path,
		Template: c.String("template"), Link: c.Bool("link"),
		Progress: func(done, total int64) { bar.set(100 * done / max(total, 1)) }})
	if err != nil {
		return err
	}
	bar.done("")
	r.printf("✅ %s (%s, %s %s)\n", m.ID, megabytes(m.Size), m.Architecture, m.Quantization)
	return r.object(m)
}

func runModelsUse(_ context.Context, c *cli.Context, r *retort) error {
	reg, id, err := r.named(c)
	if err != nil {
		return err
	}
	if err := reg.Use(id); err != nil {
		return err
	}
	return r.showCurrent(reg, "In use: ")
}

func runModelsRollback(_ context.Context, _ *cli.Context, r *retort) error {
	reg, err := r.registry()
	if err != nil {
		return err
	}
	if _, err := reg.Rollback(); err != nil {
		return err
	}
	return r.showCurrent(reg, "Back to ")
}

func (r *retort) showCurrent(reg *models.Registry, title string) error {
	m, err := reg.Current()
	if err != nil {
		return err
	}
	r.printf("%s%s\n", title, m.ID)
	if m.Stale != nil {
		r.note("note: it is stale since %s: %s; `retort finetune` makes a new one", m.Stale.At.Format(time.DateOnly), m.Stale.Why)
	}
	return r.object(modelView{Manifest: m, Current: true})
}

func runModelsMerge(ctx context.Context, c *cli.Context, r *retort) error {
	reg, id, err := r.named(c)
	if err != nil {
		return err
	}
	if _, err := reg.Get(id); err != nil {
		return err
	}
	newID := c.String("id")
	if newID == "" {
		newID = id + "-merged"
	}
	start := time.Now()
	m, err := r.merge(ctx, reg, id, newID, c.String("quantization"))
	if err != nil {
		return err
	}
	r.printf("✅ %s (%s, %s) in %s\n", m.ID, megabytes(m.Size), m.Quantization, seconds(time.Since(start)))
	return r.object(m)
}

// merge writes the adapter id into a copy of its base and shows how far it is.
func (r *retort) merge(ctx context.Context, reg *models.Registry, id, newID, quantization string) (m models.Manifest, err error) {
	eng, err := r.engine()
	if err != nil {
		return m, err
	}
	bar := r.bar("Merging "+id, 100, "%")
	defer bar.end(&err)
	return reg.Merge(ctx, id, newID, eng, models.MergeOptions{Quantization: quantization,
		Progress: func(done, total int64) { bar.set(100 * done / max(total, 1)) }})
}

func runModelsRemove(_ context.Context, c *cli.Context, r *retort) error {
	reg, id, err := r.named(c)
	if err != nil {
		return err
	}
	if err := reg.Remove(id); err != nil {
		return err
	}
	r.printf("Deleted %s\n", id)
	return r.object(map[string]string{"deleted": id})
}
