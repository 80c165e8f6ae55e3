package trainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"retort/internal/files"
	"retort/internal/scrub"
)

// Holds reports what of the forgotten examples the run's data have: how many it
// trains on, and how many others it dropped or has the questions of for its gate.
func (r *Run) Holds(f *scrub.Forgotten) (trained, others int, err error) {
	for _, id := range r.Data.Examples {
		if f.ID(id) {
			trained++
		}
	}
	others, err = scrub.Find(r.path(heldOutFile), heldOutLine(f))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, 0, fmt.Errorf("run %q: %w", r.ID, err)
	}
	for _, d := range r.Data.Dropped {
		if f.ID(d.ID) {
			others++
		}
	}
	return trained, others, nil
}

// Forget takes the text and the IDs of forgotten examples out of the run's
// directory. What the adapter and the checkpoints have learnt stays in them. The run
// keeps its result, but Train and Resume refuse it from then on with ErrForgotten
// if it was to train on such an example.
//
// The manifest is written last: until then Holds counts the same examples, so that
// what was cut short can be done again. The error wraps ErrBusy, and nothing is
// changed, where the run is being trained.
func (r *Run) Forget(f *scrub.Forgotten) error {
	lock, err := r.lock()
	switch {
	case err == nil:
		defer lock.Close()
	case !errors.Is(err, errors.ErrUnsupported): // where nothing can be trained, nothing is being
		return err
	}
	if err := r.forget(f); err != nil {
		return fmt.Errorf("run %q: forget examples: %w", r.ID, err)
	}
	return nil
}

func (r *Run) forget(f *scrub.Forgotten) error {
	if err := os.RemoveAll(r.path("tmp")); err != nil { // what a killed training left there
		return err
	}
	for _, name := range []string{trainFile, logFile, heldOutFile, selectionFile, manifestFile} {
		if err := files.RemoveRemains(r.path(name)); err != nil { // of a Forget that was killed
			return err
		}
	}
	for _, step := range []struct {
		file string
		drop func(line []byte) bool
	}{{trainFile, trainLine(f)}, {logFile, f.Text}} {
		if _, err := scrub.Lines(r.path(step.file), step.drop); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	questions, err := scrub.Lines(r.path(heldOutFile), heldOutLine(f))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := f.Lists(r.path(selectionFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := r.forgetError(f); err != nil {
		return err
	}
	return r.forgetIDs(f, questions)
}

// trainLine chooses the lines of train.jsonl that are of the examples.
func trainLine(f *scrub.Forgotten) func(line []byte) bool {
	return func(line []byte) bool {
		var row row
		if err := json.Unmarshal(line, &row); err != nil || len(row.Messages) == 0 {
			return f.JSON(line)
		}
		last := len(row.Messages) - 1
		return f.Example(row.Messages[:last], row.Messages[last].Content)
	}
}

func heldOutLine(f *scrub.Forgotten) func(line []byte) bool {
	return func(line []byte) bool {
		it, err := parseItem(line)
		if err != nil {
			return f.JSON(line)
		}
		return f.Question(it.Input)
	}
}

// forgetError clears why the last attempt failed, where that quotes an example.
func (r *Run) forgetError(f *scrub.Forgotten) error {
	var st State
	if err := r.readJSON(stateFile, &st); err != nil {
		return err
	}
	if !f.Text([]byte(st.Error)) {
		return nil
	}
	st.Error = "what it said quoted an example that was forgotten"
	return r.saveState(st)
}

// forgetIDs brings the manifest in line with the data.
func (r *Run) forgetIDs(f *scrub.Forgotten, questions int) error {
	var d Data // as it is now: r may have been opened before
	if err := r.readJSON(manifestFile, &d); err != nil {
		return err
	}
	trained, dropped := len(d.Examples), len(d.Dropped)
	d.Examples = slices.DeleteFunc(d.Examples, f.ID)
	d.Dropped = slices.DeleteFunc(d.Dropped, func(d Dropped) bool { return f.ID(d.ID) })
	d.Forgotten += trained - len(d.Examples)
	d.ForgottenOther += dropped - len(d.Dropped) + questions
	sum, err := files.SHA256(r.path(trainFile))
	if err != nil {
		return err
	}
	d.Digest = "sha256:" + sum
	if d.Tokens, err = countTokens(r.path(trainFile)); err != nil {
		return err
	}
	data, err := encodeJSON(d)
	if err != nil {
		return err
	}
	if err := files.Write(r.path(manifestFile), data); err != nil {
		return err
	}
	r.Data = Data{} // an empty list that is not written is none when it is read
	return r.readJSON(manifestFile, &r.Data)
}

func countTokens(path string) (n int, err error) {
	_, err = scrub.Find(path, func(line []byte) bool {
		var row row
		if json.Unmarshal(line, &row) == nil {
			n += len(row.InputIDs)
		}
		return false
	})
	return n, err
}

// ForgetRemains removes from the runs directory dir what a Prepare that was killed
// has left there, if it holds forgotten examples.
func ForgetRemains(dir string, f *scrub.Forgotten) error {
	remains, err := filepath.Glob(filepath.Join(dir, preparePrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range remains {
		for name, drop := range map[string]func([]byte) bool{trainFile: trainLine(f), heldOutFile: heldOutLine(f)} {
			n, err := scrub.Find(filepath.Join(path, filepath.FromSlash(name)), drop)
			if n > 0 {
				err = os.RemoveAll(path)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// checkForgotten refuses a run that is not what it was made as.
func (r *Run) checkForgotten() error {
	var d Data // as it is now: r may have been opened before
	if err := r.readJSON(manifestFile, &d); err != nil {
		return fmt.Errorf("run %q: %w", r.ID, err)
	}
	if d.Forgotten == 0 {
		return nil
	}
	return &forgottenError{run: r.ID, n: d.Forgotten}
}

// forgottenError wraps ErrForgotten.
type forgottenError struct {
	run string
	n   int
}

func (e *forgottenError) Error() string {
	return fmt.Sprintf("train %q: %d %v", e.run, e.n, ErrForgotten)
}

func (e *forgottenError) Unwrap() error { return ErrForgotten }

// Hint says what to do instead.
func (e *forgottenError) Hint() string {
	return "`retort finetune` makes a new run of the examples that there are"
}
