package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/internal/files"
)

// cleaning is what the last choice of examples found, kept in cleaningFile for
// learning-stats. Its JSON names are stable.
type cleaning struct {
	At          time.Time            `json:"at"` // UTC
	By          string               `json:"by"` // the verb
	TaskType    string               `json:"task_type,omitempty"`
	MinQuality  float64              `json:"min_quality,omitempty"`
	Considered  int                  `json:"considered"` // examples on the train side, of that task and quality
	Kept        int                  `json:"kept"`
	Duplicates  int                  `json:"duplicates"` // exact and near
	Quarantined int                  `json:"quarantined"`
	Excluded    map[clean.Reason]int `json:"excluded"`
	Selection   string               `json:"selection"` // digest of its manifest
}

const cleaningFile = "selection.json"

func cleaningOf(sel clean.Selection, c *cli.Context, by string) cleaning {
	n := sel.Manifest.Excluded
	return cleaning{At: time.Now().UTC().Truncate(time.Second), By: by, TaskType: c.String("task-type"), MinQuality: c.Float64("min-quality"),
		Considered: len(sel.Kept) + len(sel.Excluded), Kept: len(sel.Kept), Duplicates: n[clean.ExactDuplicate] + n[clean.NearDuplicate],
		Quarantined: n[clean.Secret] + n[clean.PersonalData], Excluded: n, Selection: sel.Manifest.Digest}
}

// remember keeps v for learning-stats. That it cannot is no reason to stop.
func (r *retort) remember(v cleaning) {
	if err := writeJSON(r.path(cleaningFile), v); err != nil {
		r.note("learning-stats will not know of this choice: %s", oneLine(err))
	}
}

// lastCleaning is what was remembered last, nil if nothing was or it cannot be read.
func (r *retort) lastCleaning() *cleaning {
	data, err := os.ReadFile(r.path(cleaningFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var v cleaning
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		r.note("what the last cleaning found is not known: read %q: %s", r.path(cleaningFile), oneLine(err))
		return nil
	}
	return &v
}

// maxSelfGenerated is how much of a choice the owner's own models may have given,
// where no flag says otherwise.
const maxSelfGenerated = 0.5

// cleanAll chooses from all examples as finetune does without flags. What was
// asked for by --check may take long, and is shown at work.
func (r *retort) cleanAll(ctx context.Context, c *cli.Context) (sel clean.Selection, err error) {
	store, err := r.store()
	if err != nil {
		return sel, err
	}
	if c.Bool("check") {
		bar := r.bar("Looking through all examples", -1, "")
		defer bar.end(&err)
	}
	train, held, err := bothSides(ctx, store, c)
	if err != nil {
		return sel, err
	}
	opts := clean.Options{HeldOut: heldOutOf(held), Allowed: r.forbids, Parameters: clean.Parameters{MaxSelfGenerated: new(maxSelfGenerated)}}
	if opts.SelfGenerated, err = r.selfGenerated(); err != nil {
		return sel, err
	}
	return clean.Select(ctx, train, opts)
}

// cleanOne is clean.Select for ex alone: nothing that others have to do with it.
func (r *retort) cleanOne(ctx context.Context, ex dataset.Example) (clean.Selection, error) {
	return clean.Select(ctx, []dataset.Example{ex}, clean.Options{Allowed: r.forbids})
}

// writeJSON replaces path whole, for people to read.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return files.Write(path, append(data, '\n'))
}
