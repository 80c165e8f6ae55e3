package models

import (
	"context"
	"fmt"
	"time"

	"retort/models/gguf"
)

// AdapterSpec says how the result of a training run becomes a model. ID, Parent
// and File are required.
type AdapterSpec struct {
	ID       string
	Parent   string  // ID of the model it was trained on
	File     string  // path of the adapter's GGUF, which is copied
	Rank     int     // if given, the file must agree
	Alpha    float64 // if given, the file must agree
	Run      string
	TaskType string
	Template string // default: the parent's
	Gate     *Gate
}

// AddAdapter adds a LoRA adapter as a model. It must fit its parent tensor by
// tensor. If the same adapter is there already it is returned unchanged.
func (r *Registry) AddAdapter(ctx context.Context, spec AdapterSpec) (Manifest, error) {
	if !ValidID(spec.ID) {
		return Manifest{}, fmt.Errorf("add adapter as %q: %w", spec.ID, ErrInvalidID)
	}
	m, err := r.addAdapter(ctx, spec)
	if err != nil {
		return Manifest{}, fmt.Errorf("add adapter %q: %w", spec.File, err)
	}
	return m, nil
}

func (r *Registry) addAdapter(ctx context.Context, spec AdapterSpec) (Manifest, error) {
	parent, err := r.Get(spec.Parent)
	if err != nil {
		return Manifest{}, fmt.Errorf("parent: %w", err)
	}
	if parent.Kind == KindAdapter {
		return Manifest{}, fmt.Errorf("parent %q is an adapter: merge it first", parent.ID)
	}
	if m, found, err := r.alreadyThere(ctx, spec.ID, spec.File, nil); found || err != nil {
		return m, err
	}
	s, err := r.newStage()
	if err != nil {
		return Manifest{}, err
	}
	defer s.drop()
	digest, err := s.take(ctx, spec.File, adapterFile, false, nil)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{
		ID: spec.ID, Kind: KindAdapter, Digest: digest,
		Architecture: parent.Architecture, ContextLength: parent.ContextLength,
		Template: spec.Template, License: parent.License, Source: spec.File,
		CreatedAt: time.Now().UTC(), Parent: parent.ID, ParentDigest: parent.Digest,
		Run: spec.Run, TaskType: spec.TaskType, Gate: spec.Gate,
	}
	if m.Adapter, m.Size, err = checkAdapter(s.path(adapterFile), r.Path(parent), spec); err != nil {
		return Manifest{}, err
	}
	return s.commit(m)
}

// checkAdapter compares the adapter at path with its base and its spec. It
// returns its description and its size in bytes.
func checkAdapter(path, basePath string, spec AdapterSpec) (*Adapter, int64, error) {
	file, base, err := openPair(path, basePath)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	defer base.Close()
	l, err := matchLoRA(file, base)
	if err != nil {
		return nil, 0, err
	}
	if spec.Rank != 0 && spec.Rank != l.maxRank() {
		return nil, 0, fmt.Errorf("its rank is %d, not %d", l.maxRank(), spec.Rank)
	}
	// The file holds 32 bits of it.
	if spec.Alpha != 0 && float32(spec.Alpha) != float32(l.alpha) {
		return nil, 0, fmt.Errorf("its alpha is %v, not %v", l.alpha, spec.Alpha)
	}
	return &Adapter{File: adapterFile, Rank: l.maxRank(), Alpha: l.alpha, Scale: 1}, file.Size(), nil
}

// openPair opens an adapter and its base.
func openPair(path, basePath string) (adapter, base *gguf.File, err error) {
	if adapter, err = gguf.Open(path); err != nil {
		return nil, nil, err
	}
	if base, err = gguf.Open(basePath); err != nil {
		adapter.Close()
		return nil, nil, err
	}
	return adapter, base, nil
}
