package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxHistory is how many choices can be undone.
const maxHistory = 64

// history is current.json: the models that were put in use, the last of them
// now. No two neighbours are equal. All but the last may be gone meanwhile.
type history struct {
	IDs []string `json:"history"`
}

func (h history) current() string {
	if len(h.IDs) == 0 {
		return ""
	}
	return h.IDs[len(h.IDs)-1]
}

func (h history) with(id string) history {
	if h.current() == id {
		return h
	}
	ids := append(append([]string(nil), h.IDs...), id)
	return history{ids[max(0, len(ids)-maxHistory):]}
}

// Current returns the model in use. The error wraps ErrNotFound when none was
// chosen yet.
func (r *Registry) Current() (Manifest, error) {
	h, err := r.readHistory()
	if err != nil {
		return Manifest{}, err
	}
	if h.current() == "" {
		return Manifest{}, fmt.Errorf("model in use: %w: none was chosen yet", ErrNotFound)
	}
	return r.Get(h.current())
}

// Use puts the model id in use.
func (r *Registry) Use(id string) error {
	return r.locked(func() error {
		// An adapter whose base does not fit must not become the one that answers.
		if _, err := r.Resolve(id); err != nil {
			return err
		}
		h, err := r.readHistory()
		if err != nil {
			return err
		}
		return r.writeHistory(h.with(id))
	})
}

// Rollback puts the model back in use that was so before, and returns it.
// Models that were removed since are passed over. The error wraps ErrNoPrevious
// if none is left.
func (r *Registry) Rollback() (Manifest, error) {
	var back Manifest
	err := r.locked(func() error {
		h, err := r.readHistory()
		if err != nil {
			return err
		}
		now := h.current()
		for len(h.IDs) > 1 {
			h.IDs = h.IDs[:len(h.IDs)-1]
			m, err := r.Get(h.current())
			if errors.Is(err, ErrNotFound) || h.current() == now {
				continue
			}
			if err != nil {
				return fmt.Errorf("roll back: %w", err)
			}
			back = m
			return r.writeHistory(h)
		}
		return fmt.Errorf("roll back: %w", ErrNoPrevious)
	})
	return back, err
}

func (r *Registry) readHistory() (history, error) {
	var h history
	data, err := os.ReadFile(filepath.Join(r.dir, currentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, fmt.Errorf("model in use: %w", err)
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("model in use: read %s: %w", currentFile, err)
	}
	return h, nil
}

func (r *Registry) writeHistory(h history) error {
	if err := r.writeJSON(filepath.Join(r.dir, currentFile), h); err != nil {
		return fmt.Errorf("model in use: %w", err)
	}
	return nil
}
