package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"retort/internal/files"
	"retort/models/gguf"
)

// ImportOptions says how a GGUF becomes a model. Only ID is required.
type ImportOptions struct {
	ID       string
	Digest   string // "sha256:<hex>" that the file must have
	License  string // default: what the file says
	Source   string // default: the path
	Template string // overrides the file's own; see Manifest
	Link     bool   // link to the file instead of copying it: it must never change again

	// Progress, if set, hears how many of how many bytes are done.
	Progress func(done, total int64)
}

// Import adds the GGUF at path as a model. If the model is there already, with
// the same content, it is returned unchanged. The error wraps ErrExists if
// another model has that ID, those of package gguf if the file is not sound.
func (r *Registry) Import(ctx context.Context, path string, o ImportOptions) (Manifest, error) {
	if !ValidID(o.ID) {
		return Manifest{}, fmt.Errorf("import as %q: %w", o.ID, ErrInvalidID)
	}
	if _, err := describe(path); err != nil { // before a long copy
		return Manifest{}, err
	}
	if m, found, err := r.alreadyThere(ctx, o.ID, path, o.Progress); found || err != nil {
		return m, wrapImport(path, err)
	}
	s, err := r.newStage()
	if err != nil {
		return Manifest{}, wrapImport(path, err)
	}
	defer s.drop()
	m, err := s.importModel(ctx, path, o)
	return m, wrapImport(path, err)
}

func wrapImport(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("import %q: %w", path, err)
}

func (s *stage) importModel(ctx context.Context, path string, o ImportOptions) (Manifest, error) {
	digest, err := s.take(ctx, path, modelFile, o.Link, o.Progress)
	if err != nil {
		return Manifest{}, err
	}
	if o.Digest != "" && o.Digest != digest {
		return Manifest{}, fmt.Errorf("its digest is %s, not %s", digest, o.Digest)
	}
	m, err := describe(s.path(modelFile)) // the copy, for the source may have changed
	if err != nil {
		return Manifest{}, err
	}
	m.ID, m.Kind, m.File, m.Digest = o.ID, KindBase, modelFile, digest
	m.Template, m.CreatedAt = o.Template, time.Now().UTC()
	m.Source = o.Source
	if m.Source == "" {
		m.Source = path
	}
	if o.License != "" {
		m.License = o.License
	}
	return s.commit(m)
}

// alreadyThere reports whether the model id has the content of the file at
// path. It reads the file only if there is such a model.
func (r *Registry) alreadyThere(ctx context.Context, id, path string, progress func(done, total int64)) (Manifest, bool, error) {
	_, err := r.Get(id)
	if errors.Is(err, ErrNotFound) {
		return Manifest{}, false, nil
	}
	if err != nil {
		return Manifest{}, false, err
	}
	digest, err := digestOf(ctx, path, progress)
	if err != nil {
		return Manifest{}, false, err
	}
	return r.same(id, digest)
}

// describe checks the GGUF of a model and returns what it says of itself.
func describe(path string) (Manifest, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return Manifest{}, err
	}
	defer f.Close()
	arch, _ := f.String("general.architecture")
	kind, _ := f.String("general.type")
	parts, _ := f.Uint("split.count")
	switch {
	case kind == "adapter":
		return Manifest{}, fmt.Errorf("gguf %q: is an adapter, which needs its base", path)
	case kind != "" && kind != "model":
		return Manifest{}, fmt.Errorf("gguf %q: is of type %q, not a model", path, kind)
	case parts > 1:
		return Manifest{}, fmt.Errorf("gguf %q: is one of %d parts, join them first", path, parts)
	case arch == "" || len(f.Tensors) == 0:
		return Manifest{}, fmt.Errorf("gguf %q: holds no model: no architecture or no tensors", path)
	}
	context, _ := f.Uint(arch + ".context_length")
	license, _ := f.String("general.license")
	return Manifest{
		Architecture: arch, Size: f.Size(), ContextLength: int(min(context, 1<<31-1)),
		Quantization: quantization(f), License: license,
	}, nil
}

// take copies or links the file at path into the stage and returns its digest.
func (s *stage) take(ctx context.Context, path, name string, link bool, progress func(done, total int64)) (string, error) {
	if err := s.r.step("take " + name); err != nil {
		return "", err
	}
	if link {
		if err := linkFile(path, s.path(name)); err != nil {
			return "", err
		}
		return digestOf(ctx, s.path(name), progress)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if err := needSpace(s.dir, info.Size()); err != nil {
		return "", err
	}
	dst, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	digest, err := copyFile(ctx, dst, path, progress)
	if err == nil {
		err = s.r.step("sync " + name)
	}
	if err == nil {
		err = dst.Sync()
	}
	return digest, errors.Join(err, dst.Close())
}

// linkFile links to the real file behind path, by a symbolic link if it is on
// another disk.
func linkFile(path, name string) error {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return err
	}
	if os.Link(real, name) == nil {
		return nil
	}
	return os.Symlink(real, name)
}

func digestOf(ctx context.Context, path string, progress func(done, total int64)) (string, error) {
	return copyFile(ctx, io.Discard, path, progress)
}

// copyFile copies the file at path to dst and returns its digest.
func copyFile(ctx context.Context, dst io.Writer, path string, progress func(done, total int64)) (string, error) {
	src, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	w := io.MultiWriter(hash, dst)
	for done := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := io.CopyN(w, src, 1<<20)
		done += n
		if progress != nil && n > 0 {
			progress(done, info.Size())
		}
		if err == io.EOF {
			return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// needSpace reports an error if n bytes cannot be written below dir.
func needSpace(dir string, n int64) error {
	free, err := files.FreeSpace(dir)
	if err != nil {
		return err
	}
	if uint64(n) > free {
		return fmt.Errorf("%w: needs %d MB in %q, %d MB are free", syscall.ENOSPC, n/1e6+1, dir, free/1e6)
	}
	return nil
}
