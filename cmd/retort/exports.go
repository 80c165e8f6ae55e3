package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/internal/files"
	"retort/internal/scrub"
)

// exportRecord is what Retort knows of a file that it exported: a file of JSON in
// the folder exports, one for each path.
type exportRecord struct {
	Path     string     `json:"path"` // absolute
	Format   forms.Form `json:"format"`
	Margin   float64    `json:"margin"`
	At       time.Time  `json:"at"`
	SHA256   string     `json:"sha256"`              // of the file, in hex
	Next     string     `json:"next,omitempty"`      // of the file that is about to take its place
	Examples []string   `json:"examples"`            // IDs of those that it was made of
	Removed  int        `json:"forgotten,omitempty"` // examples that were forgotten since

	seen   map[string]bool // Examples, while they are collected
	became string          // what became of the file, once exportsOf has looked; "" if it is as it was written
}

// newExport is the record of a file that is about to be exported.
func newExport(path string, format forms.Form, margin float64) *exportRecord {
	return &exportRecord{Path: path, Format: format, Margin: margin, Examples: []string{}, seen: map[string]bool{}}
}

// noting notes which examples of the sequence are taken.
func (e *exportRecord) noting(examples iter.Seq2[dataset.Example, error]) iter.Seq2[dataset.Example, error] {
	return func(yield func(dataset.Example, error) bool) {
		for ex, err := range examples {
			if err == nil && !e.seen[ex.ID] { // some forms range over it twice
				e.seen[ex.ID] = true
				e.Examples = append(e.Examples, ex.ID)
			}
			if !yield(ex, err) {
				return
			}
		}
	}
}

// keepExport records a file that was exported, so that `examples forget` finds it.
// The file is good all the same where that fails.
func (r *retort) keepExport(e *exportRecord) {
	if err := r.recordExport(e); err != nil {
		r.note("note: `retort examples forget` will not find this file, it could not be recorded: %s", oneLine(err))
	}
}

func (r *retort) recordExport(e *exportRecord) (err error) {
	if e.Path, err = filepath.Abs(e.Path); err != nil {
		return err
	}
	e.At = time.Now().UTC().Truncate(time.Second)
	if err := os.MkdirAll(r.path("exports"), 0o700); err != nil {
		return err
	}
	return r.saveExport(e)
}

// exportPath is where the record of an exported file lies.
func (r *retort) exportPath(file string) string {
	sum := sha256.Sum256([]byte(file))
	return r.path("exports", hex.EncodeToString(sum[:16])+".json")
}

func (r *retort) saveExport(e *exportRecord) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return files.Write(r.exportPath(e.Path), append(data, '\n'))
}

// exportsOf are the recorded exports that hold a forgotten example, with what
// became of each.
func (r *retort) exportsOf(gone *scrub.Forgotten) (list []*exportRecord, err error) {
	paths, err := filepath.Glob(r.path("exports", "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		e := &exportRecord{}
		data, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, e)
		}
		if err != nil {
			return nil, withHint(fmt.Errorf("read %q: %w", path, err), "look at what was exported yourself, and delete that file")
		}
		if !slices.ContainsFunc(e.Examples, gone.ID) {
			continue
		}
		if e.became, err = e.changed(); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// changed says what became of the exported file, "" if it is as it was written.
func (e *exportRecord) changed() (string, error) {
	if info, err := os.Stat(e.Path); err == nil && !info.Mode().IsRegular() {
		return "was changed since", nil
	}
	sum, err := files.SHA256(e.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return "is no longer there", nil
	case err != nil:
		return "", err
	case sum != e.SHA256 && sum != e.Next:
		return "was changed since", nil
	}
	return "", nil
}

// forgetExport writes an exported file anew without forgotten examples. A file
// that was changed or moved is left alone.
func (r *retort) forgetExport(ctx context.Context, store exampleStore, e *exportRecord, gone *scrub.Forgotten) error {
	became, err := e.changed() // perhaps only now
	if err != nil {
		return err
	}
	after := *e
	after.Next, after.Examples = "", slices.DeleteFunc(slices.Clone(e.Examples), gone.ID)
	after.Removed += len(e.Examples) - len(after.Examples)
	if became == "" {
		if after.SHA256, err = r.rewriteExport(ctx, store, e, after.Examples); err != nil {
			err = fmt.Errorf("write %q anew: %w", e.Path, err)
			if ctx.Err() == nil {
				err = withHint(err, "the store has forgotten nothing yet: let the file be replaced, or delete it yourself, and do this again")
			}
			return err
		}
	}
	return r.saveExport(&after)
}

// rewriteExport writes an exported file anew of the examples that stay. Its record
// keeps the others until that is done, and knows the new file before it is there:
// whenever the process is killed, the next time goes on.
func (r *retort) rewriteExport(ctx context.Context, store exampleStore, e *exportRecord, ids []string) (sum string, err error) {
	if _, err := os.Stat(e.Path); err != nil { // what went meanwhile is not made again
		return "", err
	}
	stays := map[string]bool{}
	for _, id := range ids {
		stays[id] = true
	}
	_, err = exportFile(ctx, e.Path, func(w io.Writer) (forms.Counts, error) {
		h := sha256.New()
		counts, err := forms.Write(ctx, io.MultiWriter(w, h), forms.Options{Form: e.Format, Margin: e.Margin},
			among(stays, store.All(ctx, dataset.Filter{})))
		if err == nil {
			e.Next = hex.EncodeToString(h.Sum(nil))
			err = r.saveExport(e)
		}
		return counts, err
	})
	if err != nil {
		return "", err
	}
	return e.Next, nil
}

// among are those of the examples whose IDs are given.
func among(ids map[string]bool, examples iter.Seq2[dataset.Example, error]) iter.Seq2[dataset.Example, error] {
	return func(yield func(dataset.Example, error) bool) {
		for ex, err := range examples {
			if (err != nil || ids[ex.ID]) && !yield(ex, err) {
				return
			}
		}
	}
}
