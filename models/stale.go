package models

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// MadeIn returns the models that came of the training runs, and all that were made
// from those, ordered by ID. When a manifest is damaged it returns the others
// together with an error that names it.
func (r *Registry) MadeIn(runs ...string) ([]Manifest, error) {
	all, err := r.List()
	made := map[string]bool{}
	for more := true; more; { // a parent may come behind what was made from it
		more = false
		for _, m := range all {
			from := m.Run != "" && slices.Contains(runs, m.Run) || m.Kind != KindBase && made[m.Parent]
			if from && !made[m.ID] {
				made[m.ID], more = true, true
			}
		}
	}
	return slices.DeleteFunc(all, func(m Manifest) bool { return !made[m.ID] }), err
}

// MarkStale marks the models that MadeIn returns for runs, and returns their IDs.
// Those that are marked already keep the mark they have. What is made from them
// later is marked as they are.
func (r *Registry) MarkStale(stale Stale, runs ...string) (ids []string, err error) {
	err = r.locked(func() error {
		list, damaged := r.MadeIn(runs...)
		for _, m := range list {
			ids = append(ids, m.ID)
			if m.Stale != nil {
				continue
			}
			m.Stale = &stale
			if err := r.writeJSON(filepath.Join(r.Dir(m.ID), manifestFile), m); err != nil {
				return errors.Join(damaged, fmt.Errorf("mark model %q: %w", m.ID, err))
			}
		}
		return damaged
	})
	return ids, err
}
