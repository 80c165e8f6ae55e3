package setup

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// PythonPath returns the interpreter of the Python environment in a home,
// which [Piece.Status] tells to be whole or not.
func PythonPath(home string) string { return venvPython(filepath.Join(home, "python")) }

func venvPython(dir string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(dir, "Scripts", "python.exe")
	}
	return filepath.Join(dir, "bin", "python")
}

// markerFile, in the environment, holds the digest of the lock that it was
// made from. It is written last: an environment without it is unfinished.
const markerFile = "retort-lock.sha256"

// checkImports is run by a new environment before it counts as made.
const checkImports = "import torch, transformers, trl, peft, datasets, gguf"

//go:embed uv.lock
var uvLock []byte

// python is the piece of the Python environment.
type python struct{ Options }

func newPython(o Options) *python {
	o.Env = append(childEnv(o.Env), "UV_PYTHON_DOWNLOADS=never", "UV_NO_PROGRESS=1", "PIP_DISABLE_PIP_VERSION_CHECK=1")
	return &python{o}
}

func (y *python) Name() string   { return "python" }
func (y *python) dir() string    { return filepath.Join(y.Home, "python") }
func (y *python) marker() string { return filepath.Join(y.dir(), markerFile) }

func (y *python) lockDigest() string {
	sum := sha256.Sum256(y.Lock)
	return hex.EncodeToString(sum[:])
}

func (y *python) Status(ctx context.Context) Status {
	s := Status{Name: y.Name(), Path: PythonPath(y.Home), Fix: "run: retort setup"}
	made, err := os.ReadFile(y.marker())
	switch _, statErr := os.Stat(y.dir()); {
	case errors.Is(statErr, os.ErrNotExist):
		s.Problem = "missing"
		return s
	case err != nil:
		s.Problem = "unfinished"
		return s
	case strings.TrimSpace(string(made)) != y.lockDigest():
		s.Problem = "made from another list of requirements"
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	version, err := command{args: []string{s.Path, "-V"}, dir: y.Home, env: y.Env}.run(ctx, Silent{})
	if err != nil {
		s.Problem = fmt.Sprintf("does not run: %v", err)
		return s
	}
	s.OK, s.Fix, s.Version = true, "", strings.TrimSpace(version)
	s.Origin = "requirements.lock sha256:" + y.lockDigest()[:12]
	return s
}

// Install makes the environment anew, at its final place, for environments
// cannot be moved. What the clients have fetched before is in their caches.
func (y *python) Install(ctx context.Context, p Progress) error {
	err := y.install(ctx, p)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("make python environment: %w", ctx.Err())
	}
	return problem("make python environment", y.dir(), err)
}

func (y *python) install(ctx context.Context, p Progress) error {
	if y.Offline {
		return fmt.Errorf("%w: the Python packages of requirements.lock", ErrOffline)
	}
	base, err := findPython(ctx, y.Options)
	if err != nil {
		return err
	}
	temp, err := tempDir(y.Home)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	lock := filepath.Join(temp, "requirements.lock")
	if err := writeFile(lock, bytes.NewReader(y.Lock)); err != nil {
		return err
	}
	if err := os.RemoveAll(y.dir()); err != nil {
		return err
	}
	if err := y.fill(ctx, base, lock, p); err != nil {
		return err
	}
	if err := y.step(ctx, p, "python: try it", PythonPath(y.Home), "-c", checkImports); err != nil {
		return err
	}
	return writeFile(y.marker(), strings.NewReader(y.lockDigest()+"\n"))
}

// fill makes the environment by uv, or by venv and pip where uv cannot be had.
func (y *python) fill(ctx context.Context, base interpreter, lock string, p Progress) error {
	title := "python: environment of " + base.version
	uv, noUV := y.findUV(ctx, base, p)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if noUV == nil {
		if err := y.step(ctx, p, title, uv, "venv", "--python", base.path, y.dir()); err != nil {
			return err
		}
		return y.step(ctx, p, "python: packages, by uv", uv, "pip", "sync", "--require-hashes",
			"--python", PythonPath(y.Home), lock)
	}
	err := y.step(ctx, p, title, base.path, "-m", "venv", y.dir())
	if err == nil {
		err = y.step(ctx, p, "python: packages, by pip", PythonPath(y.Home), "-m", "pip", "install",
			"--require-hashes", "--no-deps", "--no-input", "--progress-bar=off", "-r", lock)
	}
	if err != nil {
		return &sourcesError{[]error{fmt.Errorf("uv: %w", noUV), fmt.Errorf("pip: %w", err)}}
	}
	return nil
}

// findUV returns the uv on PATH, or one that pip gets into a folder of ours.
func (y *python) findUV(ctx context.Context, base interpreter, p Progress) (string, error) {
	if onPath("uv") {
		return "uv", nil
	}
	tools := filepath.Join(cacheRoot(y.Home), "tools")
	uv := filepath.Join(tools, "bin", exe("uv"))
	if y.step(ctx, Silent{}, "", uv, "--version") == nil {
		return uv, nil
	}
	if err := os.RemoveAll(tools); err != nil {
		return "", err
	}
	lock := filepath.Join(tools, "uv.lock")
	if err := writeFile(lock, bytes.NewReader(uvLock)); err != nil {
		return "", err
	}
	err := y.step(ctx, p, "python: uv", base.path, "-m", "pip", "install", "--target", tools, "--require-hashes",
		"--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar=off", "--retries=2", "-r", lock)
	if err != nil {
		return "", err
	}
	return uv, y.step(ctx, Silent{}, "", uv, "--version")
}

// step runs one program as one step of the progress.
func (y *python) step(ctx context.Context, p Progress, title string, args ...string) error {
	p.Start(title, -1)
	defer p.Done()
	_, err := command{args: args, dir: y.Home, env: y.Env}.run(ctx, p)
	return err
}
