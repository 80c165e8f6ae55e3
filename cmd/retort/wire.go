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
	"sync"

	"retort/dataset"
	"retort/dataset/socket"
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

	openedStore    *socket.Store
	interrupted    context.Context // ends when the user has had enough of waiting for the store
	openedRegistry *models.Registry
	openedModels   map[string]*llamacpp.Resident
	pool           *llamacpp.Pool // of openedModels
	openedOllama   *ollama.Client
	remotes        remotes
	offered        struct {
		once   sync.Once
		offers models.Offers
		err    error
	}
}

func newRetort(ctx context.Context, p *program, cfg *config.Config, asJSON bool) *retort {
	return &retort{interrupted: ctx, output: output{stdout: p.stdout, stderr: p.stderr, asJSON: asJSON, lost: new(error)}, p: p, cfg: cfg,
		openedModels: map[string]*llamacpp.Resident{}}
}

// Close closes everything that was opened.
func (r *retort) Close() error {
	return errors.Join(r.closeModels(), r.closeStore())
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
// Ollama's, "ollama-store/NAME" one of its store that the engine runs,
// "PROVIDER/NAME" one of a provider's, anything else one of the registry's.
// Models stay open until Close.
func (r *retort) model(ctx context.Context, id string) (llm.Model, error) {
	if name, ok := strings.CutPrefix(id, ollamaPrefix); ok {
		client, err := r.ollamaClient()
		if err != nil {
			return nil, err
		}
		return client.Model(name), nil
	}
	if name, ok := strings.CutPrefix(id, storePrefix); ok {
		return r.storedModel(ctx, name)
	}
	if m, ok, err := r.remoteModel(id); ok {
		return m, err
	}
	id = registryID(id)
	if m, ok := r.openedModels[id]; ok {
		return m, nil
	}
	path, opts, err := r.located(id)
	if err != nil {
		return nil, err
	}
	m, err := r.reside(ctx, id, path, opts)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// reside opens a model that makes room for others while it is idle.
func (r *retort) reside(ctx context.Context, id, path string, opts llamacpp.Options) (*llamacpp.Resident, error) {
	if r.pool == nil {
		eng, err := r.engine()
		if err != nil {
			return nil, err
		}
		r.pool = eng.NewPool(0)
	}
	m, err := r.pool.Open(ctx, path, opts)
	if err != nil {
		return nil, noMemory(err)
	}
	r.openedModels[id] = m
	return m, nil
}

// noMemory says what to do where a model is too large for the machine.
func noMemory(err error) error {
	if errors.Is(err, llamacpp.ErrNoMemory) {
		return withHint(err, "close other programs, or take a smaller model")
	}
	return err
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
	path, opts, err := r.located(id)
	if err != nil {
		return nil, err
	}
	eng, err := r.engine()
	if err != nil {
		return nil, err
	}
	m, err := eng.Open(ctx, path, opts)
	return m, noMemory(err)
}

// located says where one of the registry's models lies and how it is opened.
func (r *retort) located(id string) (path string, opts llamacpp.Options, err error) {
	reg, err := r.registry()
	if err != nil {
		return "", opts, err
	}
	what, err := reg.Resolve(id)
	if err != nil {
		if errors.Is(err, models.ErrNotFound) {
			err = withHint(err, "`retort models list` shows the models there are; `retort setup` brings the first two")
		}
		return "", opts, err
	}
	opts = llamacpp.Options{ID: enginePrefix + id, Template: what.Template, Threads: r.cfg.Int("threads")}
	if what.Adapter != "" {
		opts.Adapters = []llamacpp.Adapter{{Path: what.Adapter, Scale: what.Scale}}
	}
	return what.Base, opts, nil
}

// memberChoice says who takes part in an ensemble.
type memberChoice struct {
	ids      []string // exactly these, if any
	n        int      // else the n best for taskType
	taskType string
	skills   routing.Skills // what earlier questions taught; may be nil
	priced   bool           // without those that may cost something and whose price is not known
}

// members opens the members of an ensemble.
func (r *retort) members(ctx context.Context, choice memberChoice) ([]ensemble.Member, error) {
	known, err := r.ranked(choice.taskType, choice.skills)
	if err != nil {
		return nil, err
	}
	if choice.priced {
		known = slices.DeleteFunc(known, func(k rankedModel) bool { return k.price == nil })
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
			if p := known[i].price; p != nil {
				member.Price = *p
			}
		} else if choice.priced && !isOnThisMachine(m) {
			return nil, usage("the price of %q is not known, so no bound on the cost can hold", id)
		}
		out = append(out, member)
	}
	return out, nil
}

// isOnThisMachine reports whether requests to m never leave it, and so cost nothing.
func isOnThisMachine(m llm.Model) bool {
	d, ok := llm.As[llm.Describer](m)
	return ok && d.Describe().Local
}

// rankedModel is a model with its worth for a task, 0 to 10.
type rankedModel struct {
	id      string
	quality float64
	price   *ensemble.Price // nil if not known
}

// ranked returns the models that can take part in answering taskType, the best
// first: the bases and the remote ones that may be asked by the catalogue's
// scores, and what was trained for this very task by the accuracy that its gate
// measured; all as corrected by skills.
func (r *retort) ranked(taskType string, skills routing.Skills) ([]rankedModel, error) {
	reg, err := r.registry()
	if err != nil {
		return nil, err
	}
	manifests, err := reg.List()
	if err != nil {
		return nil, err
	}
	out, err := r.rankedRemote(taskType)
	if err != nil {
		return nil, err
	}
	for _, m := range manifests {
		switch {
		case m.Kind == models.KindBase:
			out = append(out, rankedModel{m.ID, catalogueQuality(m.ID, taskType), &ensemble.Price{}})
		case m.TaskType == taskType && m.Gate != nil && m.Gate.Passed:
			out = append(out, rankedModel{m.ID, 10 * m.Gate.Accuracy, &ensemble.Price{}})
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

// catalogueQuality is what the catalogue holds a model to be worth for a task;
// 5 for one that it does not know.
func catalogueQuality(id, taskType string) float64 {
	for _, e := range models.Catalogue() {
		if e.ID == id {
			return e.Quality(taskType)
		}
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
