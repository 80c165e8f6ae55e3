// Package models keeps the models that the owner runs: a folder with one
// sub-folder per model, which holds manifest.json and a GGUF.
//
// Call [Open] first, then [Registry.Import] for a model, [Registry.AddAdapter]
// for what a training run made of it, [Registry.Use] and [Registry.Rollback] to
// choose the one that answers, and [Registry.Resolve] for the files that an
// engine must load. [Catalogue] lists the models that setup can fetch.
//
// A folder appears whole or not at all, whenever the process is killed: it is
// made under a temporary name, synced and renamed. Several processes may work
// on one registry; changes wait for each other by a file lock.
package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names inside the registry's folder. None of them is a valid ID.
const (
	currentFile  = "current.json"
	lockFile     = ".lock"
	tempPrefix   = ".tmp-"
	manifestFile = "manifest.json"
	modelFile    = "model.gguf"
	adapterFile  = "adapter.gguf"
)

// Registry is a folder of models. It is safe for concurrent use, also by
// several processes.
type Registry struct {
	dir string

	// fault, set by tests, is called before each step that changes the disk,
	// and fails it by returning an error.
	fault func(step string) error
}

// Open opens the registry in dir, which it makes if it is not there, and
// removes what interrupted imports have left.
func Open(dir string) (*Registry, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open models %q: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open models: %w", err)
	}
	r := &Registry{dir: dir}
	if err := r.clean(); err != nil {
		return nil, fmt.Errorf("open models %q: %w", dir, err)
	}
	return r, nil
}

// List returns the models ordered by ID. When a manifest is damaged it returns
// the others together with an error that names it.
func (r *Registry) List() ([]Manifest, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	var list []Manifest
	var faults []error
	for _, e := range entries {
		if !ValidID(e.Name()) || !isDir(filepath.Join(r.dir, e.Name())) {
			continue
		}
		m, err := r.Get(e.Name())
		switch {
		case err == nil:
			list = append(list, m)
		case !errors.Is(err, ErrNotFound): // removed meanwhile, or no model's folder
			faults = append(faults, err)
		}
	}
	return list, errors.Join(faults...)
}

// isDir reports whether path is a folder, or a link to one: models may lie on another
// disk.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Get returns the manifest of the model id. The error wraps ErrNotFound if
// there is none.
func (r *Registry) Get(id string) (Manifest, error) {
	if !ValidID(id) {
		return Manifest{}, fmt.Errorf("model %q: %w", id, ErrInvalidID)
	}
	data, err := os.ReadFile(filepath.Join(r.Dir(id), manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, fmt.Errorf("model %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("model %q: %w", id, err)
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("model %q: read manifest.json: %w", id, err)
	}
	if err := m.check(id); err != nil {
		return Manifest{}, fmt.Errorf("model %q: manifest.json: %w", id, err)
	}
	return m, nil
}

// check refuses a manifest that could lead outside of its folder or cannot be
// acted on.
func (m Manifest) check(id string) error {
	file := m.File
	switch {
	case m.ID != id:
		return fmt.Errorf("is of model %q", m.ID)
	case m.Kind == KindAdapter && m.Adapter == nil:
		return errors.New("describes no adapter")
	case m.Kind == KindAdapter && !ValidID(m.Parent):
		return fmt.Errorf("parent %q: %w", m.Parent, ErrInvalidID)
	case m.Kind == KindAdapter:
		file = m.Adapter.File
	case m.Kind != KindBase && m.Kind != KindMerged:
		return fmt.Errorf("kind %q is unknown", m.Kind)
	}
	if file != filepath.Base(file) || !filepath.IsLocal(file) || file == "." {
		return fmt.Errorf("file %q is not in the model's folder", file)
	}
	return nil
}

// Dir returns the folder of the model id, there or not.
func (r *Registry) Dir(id string) string { return filepath.Join(r.dir, id) }

// Path returns the absolute path of the GGUF that m describes: the model's, or
// the adapter's for KindAdapter.
func (r *Registry) Path(m Manifest) string {
	if m.Kind == KindAdapter {
		return filepath.Join(r.Dir(m.ID), m.Adapter.File)
	}
	return filepath.Join(r.Dir(m.ID), m.File)
}

// Loadable is what an engine must open for a model.
type Loadable struct {
	ID       string
	Base     string  // path of the GGUF with the weights
	Adapter  string  // path of the LoRA to load over it; empty if none
	Scale    float64 // of the adapter, on top of alpha/rank
	Template string  // overrides the template of Base; empty for none
}

// Resolve returns what an engine must open for the model id. It refuses an
// adapter whose base is not the one it was trained on.
func (r *Registry) Resolve(id string) (Loadable, error) {
	m, err := r.Get(id)
	if err != nil {
		return Loadable{}, err
	}
	if m.Kind != KindAdapter {
		return Loadable{ID: id, Base: r.Path(m), Template: m.Template}, nil
	}
	base, err := r.baseOf(m)
	if err != nil {
		return Loadable{}, err
	}
	return Loadable{
		ID: id, Base: r.Path(base), Adapter: r.Path(m),
		Scale: m.Adapter.Scale, Template: template(m, base),
	}, nil
}

// template returns the template of an adapter: its own, or else its base's.
func template(m, base Manifest) string {
	if m.Template != "" {
		return m.Template
	}
	return base.Template
}

// baseOf returns the model that the adapter m was trained on.
func (r *Registry) baseOf(m Manifest) (Manifest, error) {
	base, err := r.Get(m.Parent)
	if err != nil {
		return Manifest{}, fmt.Errorf("base of model %q: %w", m.ID, err)
	}
	if base.Kind == KindAdapter {
		return Manifest{}, fmt.Errorf("base of model %q: %q is an adapter itself", m.ID, base.ID)
	}
	if base.Digest != m.ParentDigest {
		return Manifest{}, fmt.Errorf("base of model %q: %q is now %s, it was trained on %s", m.ID, base.ID, base.Digest, m.ParentDigest)
	}
	return base, nil
}

// SetGate records the result of the test that the model id has gone through.
func (r *Registry) SetGate(id string, gate Gate) error {
	return r.locked(func() error {
		m, err := r.Get(id)
		if err != nil {
			return err
		}
		m.Gate = &gate
		if err := r.writeJSON(filepath.Join(r.Dir(id), manifestFile), m); err != nil {
			return fmt.Errorf("set gate of model %q: %w", id, err)
		}
		return nil
	})
}

// Remove deletes the model id. The error wraps ErrInUse when it is the model
// in use or when others were made from it.
func (r *Registry) Remove(id string) error {
	return r.locked(func() error {
		// A model whose manifest is damaged can be removed like any other.
		if _, err := r.Get(id); errors.Is(err, ErrNotFound) || !ValidID(id) {
			return err
		}
		if err := r.needed(id); err != nil {
			return fmt.Errorf("remove model %q: %w", id, err)
		}
		if err := r.discard(r.Dir(id)); err != nil {
			return fmt.Errorf("remove model %q: %w", id, err)
		}
		return nil
	})
}

// needed returns an error if the model id must stay.
func (r *Registry) needed(id string) error {
	all, _ := r.List() // one with a damaged manifest cannot be used, and needs no other
	for _, m := range all {
		if m.Parent == id {
			return fmt.Errorf("%w: %q was made from it", ErrInUse, m.ID)
		}
	}
	h, err := r.readHistory()
	if err == nil && h.current() == id {
		err = fmt.Errorf("%w: it is the one that answers", ErrInUse)
	}
	return err
}
