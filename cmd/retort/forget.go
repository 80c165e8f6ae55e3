package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"retort/dataset"
	"retort/internal/scrub"
	"retort/models"
	"retort/trainer"
)

// forgetReach is what is left of some examples outside of the store.
type forgetReach struct {
	examples []dataset.Example
	gone     *scrub.Forgotten
	exports  []*exportRecord
	runs     []*trainer.Run
	trained  []string // those of runs that trained on the examples
	before   []string // runs that forgot others: that their models are marked may have been cut short
	stale    []string // models that came of them
	files    []string // selections, and files of distil jobs
	kin      []string // IDs of other examples that keep an answer of these
	unread   error    // what could not be looked into
}

func (f *forgetReach) view() forgetView {
	v := forgetView{IDs: []string{}, Exports: []string{}, ExportsLeft: []string{}, Runs: []string{},
		StaleModels: append([]string{}, f.stale...), Files: append([]string{}, f.files...), AlsoIn: append([]string{}, f.kin...)}
	for _, ex := range f.examples {
		v.IDs = append(v.IDs, ex.ID)
	}
	for _, e := range f.exports {
		if e.became == "" {
			v.Exports = append(v.Exports, e.Path)
		} else {
			v.ExportsLeft = append(v.ExportsLeft, e.Path)
		}
	}
	for _, run := range f.runs {
		v.Runs = append(v.Runs, run.ID)
	}
	return v
}

// reach looks for what is left of examples, and changes nothing. It refuses
// examples that a model is being trained on.
func (r *retort) reach(ctx context.Context, store exampleStore, examples []dataset.Example) (f *forgetReach, err error) {
	f = &forgetReach{examples: examples, gone: scrub.Of(examples)}
	if len(examples) == 0 {
		return f, nil
	}
	for _, find := range []func(*forgetReach) error{r.reachRuns, r.reachModels, r.reachExports, r.reachFiles} {
		if err := find(f); err != nil {
			return nil, err
		}
	}
	f.kin, err = kinOf(ctx, store, examples)
	return f, err
}

func (r *retort) reachRuns(f *forgetReach) error {
	runs, damaged := trainer.ListRuns(r.path("runs"))
	if damaged != nil {
		f.unread = withHint(partial("not looked into: %s", oneLine(damaged)), "delete the folder if nothing else helps")
	}
	for _, run := range runs {
		trained, others, err := run.Holds(f.gone)
		if err != nil {
			return err
		}
		if trained+others > 0 {
			if st, err := run.State(); err == nil && st.Status == trainer.StatusRunning {
				return beingTrained(run)
			}
			f.runs = append(f.runs, run)
		}
		switch {
		case trained > 0:
			f.trained = append(f.trained, run.ID)
		case run.Data.Forgotten > 0:
			f.before = append(f.before, run.ID)
		}
	}
	return nil
}

func beingTrained(run *trainer.Run) error {
	return withHint(partial("run %s is being trained on some of these examples: they stay until that ends", run.ID),
		"wait for it, or `retort runs cancel "+run.ID+"`; then do this again")
}

// reachModels finds the models that come of runs.
func (r *retort) reachModels(f *forgetReach) error {
	reg, err := r.registry()
	if err != nil {
		return err
	}
	of, err := reg.MadeIn(f.trained...)
	if err != nil {
		return err
	}
	earlier, err := reg.MadeIn(f.before...)
	for _, m := range append(of, slices.DeleteFunc(earlier, func(m models.Manifest) bool { return m.Stale != nil })...) {
		if !slices.Contains(f.stale, m.ID) {
			f.stale = append(f.stale, m.ID)
		}
	}
	return err
}

func (r *retort) reachExports(f *forgetReach) (err error) {
	f.exports, err = r.exportsOf(f.gone)
	return err
}

// reachFiles finds selections that name one of the examples, and lines of distil
// jobs that hold what one of them asks.
func (r *retort) reachFiles(f *forgetReach) error {
	selections, err := filepath.Glob(r.path("selections", "*.json"))
	if err != nil {
		return err
	}
	for _, path := range selections {
		n, err := f.gone.FindLists(path)
		if err != nil {
			return err
		}
		if n > 0 {
			f.files = append(f.files, path)
		}
	}
	jobs, err := r.distilJobsOf(f.gone)
	f.files = append(f.files, jobs...)
	return err
}

// printReach lists what would go, and what else would be touched.
func (r *retort) printReach(f *forgetReach) {
	const most = 20
	if len(f.examples) == 0 {
		r.printf("No example matches: there is nothing to forget.\n")
		return
	}
	rows := [][]string{{"ID", "TASK", "QUESTION", "RESPONSE"}}
	for _, ex := range f.examples[:min(most, len(f.examples))] {
		rows = append(rows, []string{shortID(ex.ID), ex.TaskType, firstLine(lastUser(ex.Messages), 48), firstLine(ex.Response, 32)})
	}
	r.table(rows)
	if more := len(f.examples) - most; more > 0 {
		r.printf("and %d more\n", more)
	}
	v := f.view()
	for _, part := range []struct {
		title string
		names []string
	}{{"Exports to write anew", v.Exports}, {"Runs to clean", v.Runs}, {"Models that become stale", v.StaleModels}, {"Other files to clean", v.Files}} {
		if len(part.names) > 0 {
			r.printf("%s: %s\n", part.title, strings.Join(part.names, ", "))
		}
	}
	for _, id := range f.kin {
		r.note("example %s keeps an answer of these as a worse one: forget it too if that must go", shortID(id))
	}
	for _, e := range f.exports {
		if e.became != "" {
			r.note("export %s %s: look yourself", e.Path, e.became)
		}
	}
}

// forget removes what reach has found, and the examples themselves last: as long
// as they are there, what was cut short can be found and done again.
func (r *retort) forget(ctx context.Context, store exampleStore, f *forgetReach) error {
	view := f.view()
	for _, clean := range []func(context.Context, exampleStore, *forgetReach) error{r.cleanRuns, r.cleanModels, r.cleanExports, r.cleanFiles} {
		if err := clean(ctx, store, f); err != nil {
			return err
		}
	}
	var err error
	if view.Forgotten, err = store.Forget(ctx, view.IDs...); err != nil {
		return err
	}
	view.Compacted, err = r.compact()
	if err == nil {
		r.printf("🧹 Forgot %s\n", count(view.Forgotten, "example"))
	}
	return errors.Join(r.object(view), err, f.unread)
}

// compact has the store's files written anew, without what was forgotten, if this
// process holds the store.
func (r *retort) compact() (done bool, err error) {
	held := r.openedStore.Held()
	err = r.closeStore()
	switch {
	case errors.Is(err, dataset.ErrNoSpace):
		return false, fmt.Errorf("the examples are forgotten and no answer has them any more, but their text is in the store's files until "+
			"there is room to write them anew, which is tried each time the store is opened: %w", err)
	case err != nil:
		return false, err
	case !held:
		r.note("another process holds the store: it writes the files anew, without the text, when it ends")
	}
	return held, nil
}

func (r *retort) cleanRuns(_ context.Context, _ exampleStore, f *forgetReach) error {
	for _, run := range f.runs {
		err := run.Forget(f.gone)
		if errors.Is(err, trainer.ErrBusy) {
			return beingTrained(run)
		}
		if err != nil {
			return err
		}
	}
	return trainer.ForgetRemains(r.path("runs"), f.gone)
}

func (r *retort) cleanModels(_ context.Context, _ exampleStore, f *forgetReach) error {
	if len(f.trained)+len(f.before) == 0 {
		return nil
	}
	reg, err := r.registry()
	if err != nil {
		return err
	}
	why := models.Stale{Why: "examples that it was trained on were forgotten", At: time.Now().UTC().Truncate(time.Second)}
	_, err = reg.MarkStale(why, slices.Concat(f.trained, f.before)...)
	return err
}

func (r *retort) cleanExports(ctx context.Context, store exampleStore, f *forgetReach) error {
	for _, e := range f.exports {
		if err := r.forgetExport(ctx, store, e, f.gone); err != nil {
			return err
		}
	}
	return nil
}

func (r *retort) cleanFiles(_ context.Context, _ exampleStore, f *forgetReach) error {
	for _, path := range f.files {
		clean := f.gone.Lists
		if filepath.Ext(path) == ".jsonl" {
			clean = func(path string) (int, error) { return r.forgetInJob(path, f.gone) }
		}
		if _, err := clean(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
