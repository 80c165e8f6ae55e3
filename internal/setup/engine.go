package setup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// EngineDir returns the folder of the engine in a home.
func EngineDir(home string) string { return filepath.Join(home, "engine") }

// engine is the piece of the engine library.
type engine struct {
	Options
	npm npmPackage
}

func newEngine(o Options) *engine {
	o.Env = childEnv(o.Env)
	return &engine{Options: o, npm: npmForHere()}
}

func (e *engine) Name() string { return "engine" }

func (e *engine) dir() string {
	if e.EngineDir != "" {
		return e.EngineDir
	}
	return EngineDir(e.Home)
}

func (e *engine) Status(context.Context) Status {
	s := Status{Name: e.Name(), Path: e.dir()}
	lib, err := e.Engine.Find(e.dir())
	switch {
	case err == nil:
		s.OK, s.Path, s.Version, s.Origin, s.License = true, lib.Path, lib.Version, lib.Origin, "MIT"
	case e.EngineDir != "":
		s.Problem, s.Fix = err.Error(), "name a folder with the llama.cpp libraries by RETORT_ENGINE_DIR, or none to use the one that setup brings"
	default:
		s.Problem, s.Fix = err.Error(), "run: retort setup"
	}
	return s
}

// Install tries one source after the other; a source counts when its library
// loads on this machine. A folder that the user named is never written to.
func (e *engine) Install(ctx context.Context, p Progress) error {
	const op = "get engine"
	if e.EngineDir != "" {
		_, err := e.Engine.Find(e.EngineDir)
		if err == nil {
			return nil
		}
		return &Error{Op: op, Name: e.EngineDir, Cause: err, hint: e.Status(ctx).Fix}
	}
	if e.Offline {
		return problem(op, e.dir(), fmt.Errorf("%w: the llama.cpp libraries (npm package %s %s, or an official build)", ErrOffline, e.npm.name, npmVersion))
	}
	var failures []error
	for _, source := range []struct {
		name string
		get  func(ctx context.Context, temp, dir string, p Progress) error
	}{
		{"official build", e.official},
		{"npm", e.fromNPM},
	} {
		err := e.from(ctx, source.get, p)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", op, ctx.Err())
		}
		failures = append(failures, fmt.Errorf("%s: %w", source.name, err))
	}
	return problem(op, e.dir(), &sourcesError{failures})
}

// from gets the engine from one source, tries it, and puts it in place.
func (e *engine) from(ctx context.Context, get func(ctx context.Context, temp, dir string, p Progress) error, p Progress) error {
	temp, err := tempDir(e.Home)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	dir := filepath.Join(temp, "engine")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := get(ctx, temp, dir, p); err != nil {
		return err
	}
	if _, err := e.Engine.Find(dir); err != nil {
		return err
	}
	if err := e.Engine.Probe(dir); err != nil {
		return err
	}
	return replaceDir(e.Home, dir, e.dir())
}

func (e *engine) official(ctx context.Context, _, dir string, p Progress) error {
	p.Start("engine: official build", -1)
	defer p.Done()
	return e.Engine.Download(ctx, dir, totals(p))
}

func (e *engine) fromNPM(ctx context.Context, temp, dir string, p Progress) error {
	if !onPath("npm") {
		return &missingToolError{"npm"}
	}
	p.Start("engine: "+e.npm.name+" (MIT)", -1)
	defer p.Done()
	return e.npm.fetch(ctx, temp, dir, e.Env, p)
}

var _ Piece = (*engine)(nil)
