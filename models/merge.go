package models

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"retort/models/gguf"
)

// Quantizer turns the GGUF at in into the new GGUF out, with its weights stored
// as typ, such as "F32" or "Q4_K_M". The embedded engine is one.
type Quantizer interface {
	Quantize(ctx context.Context, in, out, typ string) error
}

// MergeOptions says how to merge. All fields are optional.
type MergeOptions struct {
	Quantization string // default: that of the base

	// Progress, if set, hears how many of how many bytes are done, over all
	// steps. The quantizer's steps are heard of at their end only.
	Progress func(done, total int64)
}

// unpacked is the name of the base's copy in 32-bit floats.
const unpacked = "unpacked.gguf"

// Merge writes the adapter id into a copy of its base and adds that as the
// model newID. It needs disk space for the base in 32-bit floats.
//
// The quantizer copies the base to 32-bit floats, there each weight gets its
// share of the adapter in place, and the quantizer packs the result: so all
// metadata, the vocabulary and the template stay as they are in the base.
func (r *Registry) Merge(ctx context.Context, id, newID string, q Quantizer, o MergeOptions) (Manifest, error) {
	if !ValidID(newID) {
		return Manifest{}, fmt.Errorf("merge as %q: %w", newID, ErrInvalidID)
	}
	adapter, err := r.Get(id)
	if err != nil {
		return Manifest{}, fmt.Errorf("merge: %w", err)
	}
	if adapter.Kind != KindAdapter {
		return Manifest{}, fmt.Errorf("merge %q: is not an adapter", id)
	}
	base, err := r.baseOf(adapter)
	if err != nil {
		return Manifest{}, fmt.Errorf("merge: %w", err)
	}
	if _, err := os.Lstat(r.Dir(newID)); err == nil {
		return Manifest{}, fmt.Errorf("merge %q: model %q: %w", id, newID, ErrExists)
	}
	s, err := r.newStage()
	if err != nil {
		return Manifest{}, fmt.Errorf("merge %q: %w", id, err)
	}
	defer s.drop()
	if o.Quantization == "" {
		o.Quantization = base.Quantization
	}
	m, err := (&merger{stage: s, quantizer: q, options: o, adapter: adapter, base: base}).merge(ctx, newID)
	if err != nil {
		return Manifest{}, fmt.Errorf("merge %q: %w", id, err)
	}
	return m, nil
}

// merger is one merge on its way.
type merger struct {
	*stage
	quantizer     Quantizer
	options       MergeOptions
	adapter, base Manifest

	done, total int64 // bytes, for the progress
}

func (g *merger) merge(ctx context.Context, newID string) (Manifest, error) {
	if err := g.patchCopy(ctx); err != nil {
		return Manifest{}, err
	}
	if err := g.pack(ctx); err != nil {
		return Manifest{}, err
	}
	digest, err := digestOf(ctx, g.path(modelFile), nil)
	if err != nil {
		return Manifest{}, err
	}
	m, err := describe(g.path(modelFile))
	if err != nil {
		return Manifest{}, err
	}
	m.ID, m.Kind, m.File, m.Digest = newID, KindMerged, modelFile, digest
	m.Parent, m.ParentDigest = g.adapter.ID, g.adapter.Digest
	m.Run, m.TaskType = g.adapter.Run, g.adapter.TaskType
	m.License, m.Template = g.adapter.License, template(g.adapter, g.base)
	m.Stale = g.adapter.Stale
	m.Source, m.CreatedAt = fmt.Sprintf("%s merged into %s", g.adapter.ID, g.base.ID), time.Now().UTC()
	return g.commit(m)
}

// patchCopy makes the unpacked copy of the base and adds the adapter to it.
func (g *merger) patchCopy(ctx context.Context) error {
	adapter, base, err := openPair(g.r.Path(g.adapter), g.r.Path(g.base))
	if err != nil {
		return err
	}
	defer adapter.Close()
	defer base.Close()
	if _, ok := adapter.Len("adapter.alora.invocation_tokens"); ok {
		return errors.New("acts on a part of the prompt only (aLoRA), which no weights can express")
	}
	l, err := matchLoRA(adapter, base)
	if err != nil {
		return err
	}
	size := unpackedSize(base)
	if err := needSpace(g.dir, g.space(size)); err != nil {
		return err
	}
	p := patcher{lora: l, adapter: adapter, scale: g.adapter.Adapter.Scale,
		packed: g.options.Quantization == g.base.Quantization, progress: g.progress}
	g.total = size + p.bytes() + size
	if err := g.quantize(ctx, g.r.Path(g.base), unpacked, "F32"); err != nil {
		return err
	}
	g.progress(size)
	if err := g.r.step("patch"); err != nil {
		return err
	}
	return p.patch(ctx, g.path(unpacked))
}

// pack stores the patched copy as the model's file.
func (g *merger) pack(ctx context.Context) error {
	if g.options.Quantization == "F32" {
		if err := os.Rename(g.path(unpacked), g.path(modelFile)); err != nil {
			return err
		}
	} else {
		if err := g.quantize(ctx, g.path(unpacked), modelFile, g.options.Quantization); err != nil {
			return err
		}
		if err := os.Remove(g.path(unpacked)); err != nil {
			return err
		}
	}
	if err := g.r.step("sync " + modelFile); err != nil {
		return err
	}
	f, err := os.OpenFile(g.path(modelFile), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	g.progress(g.total - g.done)
	return errors.Join(f.Sync(), f.Close())
}

func (g *merger) quantize(ctx context.Context, in, out, typ string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := g.r.step("quantize to " + typ); err != nil {
		return err
	}
	if err := g.quantizer.Quantize(ctx, in, g.path(out), typ); err != nil {
		return fmt.Errorf("quantize to %s: %w", typ, err)
	}
	return nil
}

// progress reports that n more bytes are done.
func (g *merger) progress(n int64) {
	g.done += n
	if g.options.Progress != nil {
		g.options.Progress(g.done, g.total)
	}
}

// space returns how many bytes the merge writes at most, if the unpacked copy
// takes size.
func (g *merger) space(size int64) int64 {
	switch g.options.Quantization {
	case "F32":
		return size
	case g.base.Quantization:
		return size + g.base.Size
	}
	return size + size/2 // none but F32 takes more than 16 bits a weight
}

// unpackedSize returns the bytes that f takes in 32-bit floats, or a little
// more.
func unpackedSize(f *gguf.File) int64 {
	size := f.Size() // of which the header is the part that stays
	for _, t := range f.Tensors {
		size += 4 * t.Elements()
	}
	return size
}
