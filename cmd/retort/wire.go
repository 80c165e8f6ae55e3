package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"retort/dataset"
	"retort/ensemble"
	"retort/ensemble/routing"
	"retort/internal/config"
	"retort/internal/setup"
	"retort/llm"
	"retort/local/llamacpp"
	"retort/local/ollama"
	"retort/models"
)

// retort is everything that a verb can open. It opens each part when it is first
// asked for, and Close closes what was opened.
type retort struct {
	output
	p   *program
	cfg *config.Config

	openedStore    *dataset.Store
	openedRegistry *models.Registry
	openedModels   map[string]*llamacpp.Model
}

func newRetort(p *program, cfg *config.Config, asJSON bool) *retort {
	return &retort{output: output{stdout: p.stdout, stderr: p.stderr, asJSON: asJSON}, p: p, cfg: cfg,
		openedModels: map[string]*llamacpp.Model{}}
}

// Close closes everything that was opened.
func (r *retort) Close() error {
	err := r.closeModels()
	if r.openedStore != nil {
		err = errors.Join(err, r.openedStore.Close())
		r.openedStore = nil
	}
	return err
}

// path names a place in the data folder.
func (r *retort) path(parts ...string) string {
	return filepath.Join(append([]string{r.cfg.Text("home")}, parts...)...)
}

func (r *retort) policy() dataset.Policy {
	return dataset.Policy{
		MinQuality:     r.cfg.Number("collect.min_quality"),
		AgreementBonus: r.cfg.Number("collect.agreement_bonus"),
		FeedbackBonus:  r.cfg.Number("collect.feedback_bonus"),
	}
}

func (r *retort) store() (*dataset.Store, error) {
	if r.openedStore != nil {
		return r.openedStore, nil
	}
	dir := r.path("store")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s, err := dataset.Open(dir, dataset.Options{Policy: r.policy()})
	if errors.Is(err, dataset.ErrBusy) {
		return nil, withHint(err, "another retort is using it; wait for it to end")
	}
	if err != nil {
		return nil, err
	}
	r.openedStore = s
	return s, nil
}

func (r *retort) registry() (*models.Registry, error) {
	if r.openedRegistry != nil {
		return r.openedRegistry, nil
	}
	reg, err := models.Open(r.path("models"))
	if err == nil {
		r.openedRegistry = reg
	}
	return reg, err
}

func (r *retort) engine() (*llamacpp.Engine, error) {
	lib, err := llamacpp.Find(r.engineDirs()...)
	if err != nil {
		return nil, withHint(err, "`retort setup` brings the engine")
	}
	return llamacpp.Load(lib.Dir)
}

// engineDirs are the folders that may hold the library: the owner's alone if one
// is named.
func (r *retort) engineDirs() []string {
	if dir := r.cfg.Text("engine_dir"); dir != "" {
		return []string{dir}
	}
	return []string{setup.EngineDir(r.path())}
}

// enginePrefix stands before the registry's ID in the ID of a loaded model.
const enginePrefix = "llamacpp/"

// registryID is the registry's name of a model, however the user wrote it.
func registryID(id string) string { return strings.TrimPrefix(id, enginePrefix) }

// model opens the model of that name: "ollama/NAME" is one of a running
// Ollama's, anything else one of the registry's. Models stay open until Close.
func (r *retort) model(ctx context.Context, id string) (llm.Model, error) {
	if name, ok := strings.CutPrefix(id, "ollama/"); ok {
		return r.ollamaModel(name)
	}
	id = registryID(id)
	if m, ok := r.openedModels[id]; ok {
		return m, nil
	}
	m, err := r.load(ctx, id)
	if err != nil {
		return nil, err
	}
	r.openedModels[id] = m
	return m, nil
}

// closeModels gives back the memory of the models that model opened.
func (r *retort) closeModels() error {
	var errs []error
	for id, m := range r.openedModels {
		errs = append(errs, m.Close())
		delete(r.openedModels, id)
	}
	return errors.Join(errs...)
}

// load opens one of the registry's models in the engine; the caller closes it.
func (r *retort) load(ctx context.Context, id string) (*llamacpp.Model, error) {
	reg, err := r.registry()
	if err != nil {
		return nil, err
	}
	what, err := reg.Resolve(id)
	if err != nil {
		if errors.Is(err, models.ErrNotFound) {
			err = withHint(err, "`retort models list` shows the models there are; `retort setup` brings the first two")
		}
		return nil, err
	}
	eng, err := r.engine()
	if err != nil {
		return nil, err
	}
	opts := llamacpp.Options{ID: enginePrefix + id, Template: what.Template, Threads: r.cfg.Int("threads")}
	if what.Adapter != "" {
		opts.Adapters = []llamacpp.Adapter{{Path: what.Adapter, Scale: what.Scale}}
	}
	return eng.Open(ctx, what.Base, opts)
}

func (r *retort) ollamaClient() (*ollama.Client, error) {
	return ollama.New(r.cfg.Text("ollama_url"), ollama.Options{AllowRemote: !r.cfg.Bool("offline") && r.cfg.Value("ollama_url").Origin != "default"})
}

func (r *retort) ollamaModel(name string) (llm.Model, error) {
	client, err := r.ollamaClient()
	if err != nil {
		return nil, err
	}
	return client.Model(name), nil
}

// memberChoice says who takes part in an ensemble.
type memberChoice struct {
	ids      []string // exactly these, if any
	n        int      // else the n best for taskType
	taskType string
	skills   routing.Skills // what earlier questions taught; may be nil
}

// members opens the members of an ensemble.
func (r *retort) members(ctx context.Context, choice memberChoice) ([]ensemble.Member, error) {
	known, err := r.ranked(choice.taskType, choice.skills)
	if err != nil {
		return nil, err
	}
	ids := choice.ids
	if len(ids) == 0 {
		for _, k := range known[:min(choice.n, len(known))] {
			ids = append(ids, k.id)
		}
	}
	if len(ids) == 0 {
		return nil, withHint(fmt.Errorf("%w: none is installed", models.ErrNotFound), "`retort setup` brings two small ones")
	}
	var out []ensemble.Member
	for _, id := range ids {
		m, err := r.model(ctx, id)
		if err != nil {
			return nil, err
		}
		member := ensemble.Member{Model: m}
		if i := slices.IndexFunc(known, func(k rankedModel) bool { return k.id == registryID(id) }); i >= 0 {
			member.Quality = known[i].quality
		}
		out = append(out, member)
	}
	return out, nil
}

// rankedModel is a model of the registry with its worth for a task, 0 to 10.
type rankedModel struct {
	id      string
	quality float64
}

// ranked returns the models that can take part in answering taskType, the best
// first: the bases by the catalogue's scores, and what was trained for this very
// task by the accuracy that its gate measured; both as corrected by skills.
func (r *retort) ranked(taskType string, skills routing.Skills) ([]rankedModel, error) {
	reg, err := r.registry()
	if err != nil {
		return nil, err
	}
	manifests, err := reg.List()
	if err != nil {
		return nil, err
	}
	var out []rankedModel
	for _, m := range manifests {
		switch {
		case m.Kind == models.KindBase:
			out = append(out, rankedModel{m.ID, catalogueQuality(m.ID, taskType)})
		case m.TaskType == taskType && m.Gate != nil && m.Gate.Passed:
			out = append(out, rankedModel{m.ID, 10 * m.Gate.Accuracy})
		}
	}
	for i, m := range out {
		out[i].quality = 10 * skills.Of(m.id, taskType, m.quality).Mean()
	}
	slices.SortStableFunc(out, func(a, b rankedModel) int {
		switch {
		case a.quality > b.quality:
			return -1
		case a.quality < b.quality:
			return 1
		}
		return strings.Compare(a.id, b.id)
	})
	return out, nil
}

// catalogueQuality is the published score of a model, a little more where the
// task is its speciality; 5 for one that the catalogue does not know.
func catalogueQuality(id, taskType string) float64 {
	for _, e := range models.Catalogue() {
		if e.ID != id {
			continue
		}
		if slices.Contains(e.Specialization, taskType) {
			return min(10, e.QualityScore+0.5)
		}
		return e.QualityScore
	}
	return 5
}

// taskTypes are those that need no examples to be known.
var taskTypes = []string{"general", "reasoning", "code", "creative", "analysis", "classification"}

var taskTypeName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

func validTaskType(t string) bool { return taskTypeName.MatchString(t) }

func badTaskType(t string) error {
	return usage("bad task type %q", t).hint("use lower-case letters, digits, - and _")
}

// checkTaskType refuses a task type that is neither one of the built-in ones nor
// that of an example: most likely it is misspelt.
func (r *retort) checkTaskType(ctx context.Context, t string) error {
	if slices.Contains(taskTypes, t) {
		return nil
	}
	known := slices.Clone(taskTypes)
	if _, err := os.Stat(r.path("store")); err == nil {
		store, err := r.store()
		if err != nil {
			return err
		}
		stats, err := store.Stats(ctx)
		if err != nil {
			return err
		}
		if _, ok := stats.TaskTypes[t]; ok {
			return nil
		}
		for name := range stats.TaskTypes {
			known = append(known, name)
		}
		slices.Sort(known)
	}
	return usage("unknown task type %q (known: %s)", t, strings.Join(slices.Compact(known), ", "))
}
