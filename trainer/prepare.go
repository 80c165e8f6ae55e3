package trainer

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"retort/dataset"
	"retort/llm"
	"retort/scripts"
)

// Spec is what Prepare makes a run of.
type Spec struct {
	Job       Job                               // zero settings take their defaults
	Examples  iter.Seq2[dataset.Example, error] // none of them held out
	Tokenizer llm.Tokenizer                     // of Job.Base, with the chat template it will be served with
	HeldOut   []Item                            // kept in the run for the gate; may be empty
	Selection any                               // how Examples were chosen: kept as data/selection.json; may be nil
}

// Prepare freezes spec into a new run directory in dir, from which the run can
// be trained by Run.Train, by hand, or on another machine. The directory
// appears whole or not at all.
//
// Examples are ordered by ID, so that equal sets are equal data. One that is
// longer than the job's maximum is left out and named in Data.Dropped; it is
// never cut. It is an error if an example belongs to the held-out side or asks
// what a held-out item asks, since the gate would then measure memory.
func Prepare(ctx context.Context, dir string, spec Spec) (*Run, error) {
	return prepare(ctx, dir, spec, nil)
}

func prepare(ctx context.Context, dir string, spec Spec, plan *plan) (*Run, error) {
	spec.Job = spec.Job.withDefaults()
	r := &Run{ID: spec.Job.ID, Job: spec.Job}
	fail := func(err error) (*Run, error) { return nil, fmt.Errorf("prepare %q: %w", r.ID, err) }
	if err := r.Job.validate(); err != nil {
		return fail(err)
	}
	lines, data, err := freeze(ctx, spec)
	if err != nil {
		return fail(err)
	}
	r.Data = data
	if dir, err = filepath.Abs(dir); err != nil {
		return fail(err)
	}
	r.Dir = filepath.Join(dir, r.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(err)
	}
	tmp, err := os.MkdirTemp(dir, preparePrefix)
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(tmp) // after the rename there is nothing left to remove
	if err := r.write(tmp, lines, spec, plan); err != nil {
		return fail(err)
	}
	if _, err := os.Lstat(r.Dir); err == nil { // Rename would replace an empty directory
		return fail(fs.ErrExist)
	}
	if err := os.Rename(tmp, r.Dir); err != nil {
		return fail(err)
	}
	return r, nil
}

// write fills the directory tmp with everything that r consists of.
func (r *Run) write(tmp string, lines []byte, spec Spec, plan *plan) error {
	if err := os.Mkdir(filepath.Join(tmp, "data"), 0o700); err != nil {
		return err
	}
	if err := copyScripts(tmp); err != nil {
		return err
	}
	documents := map[string]any{
		"job.json":   r.Job,
		manifestFile: r.Data,
		stateFile:    State{Status: StatusPrepared, CreatedAt: time.Now().UTC().Truncate(time.Second)},
	}
	if plan != nil {
		documents[planFile] = plan
	}
	if spec.Selection != nil {
		documents[selectionFile] = spec.Selection
	}
	files := map[string][]byte{trainFile: lines}
	for name, doc := range documents {
		data, err := encodeJSON(doc)
		if err != nil {
			return err
		}
		files[name] = data
	}
	if len(spec.HeldOut) > 0 {
		files[heldOutFile] = encodeItems(spec.HeldOut)
	}
	for name, data := range files {
		if err := writeSynced(filepath.Join(tmp, filepath.FromSlash(name)), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// copyScripts puts the Python side into dir. An embedded file has no mode, so
// run.sh gets its own here.
func copyScripts(dir string) error {
	if err := os.CopyFS(dir, scripts.Files()); err != nil {
		return err
	}
	return os.Chmod(filepath.Join(dir, "run.sh"), 0o755)
}
