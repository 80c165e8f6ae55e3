// Package setup gets the three things that Retort needs from outside into its
// home folder, and tells their state: the engine library in engine/, the
// starter models in models/, and the Python environment in python/.
//
// Call [New] for the pieces, [Piece.Status] to see what is there (it changes
// nothing and makes no connection), and [Install] to get what is missing.
//
// Whatever is fetched comes through a client that the machine has (npm, pip,
// uv) or through the [Engine] that is handed in, is checked against a digest
// that is part of the program, and appears whole or not at all. An interrupted
// set-up is run again: what was fetched and checked is kept in cache/.
package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"retort/internal/files"
	"retort/models"
)

// lockFile is held while a set-up runs.
const lockFile = "setup.lock"

// Status is the state of one piece.
type Status struct {
	Name    string // "engine", "models" or "python"
	OK      bool
	Version string
	Origin  string // where it came from
	Path    string
	License string // names of the licences or terms it came under
	Problem string // one line, empty when OK
	Fix     string // what to do about Problem
}

// Piece is one thing that Retort needs from outside.
type Piece interface {
	Name() string
	// Status looks at what is there. It makes no connection and changes nothing.
	Status(ctx context.Context) Status
	// Install gets what is missing. A second call goes on where one that was
	// cancelled or has failed left off. Use the function Install, which also
	// keeps two set-ups apart.
	Install(ctx context.Context, p Progress) error
}

// Engine finds, tries and downloads the engine library.
type Engine interface {
	// Find describes the library in dir. It makes no connection.
	Find(dir string) (Library, error)
	// Probe tells whether the library in dir loads on this machine.
	Probe(dir string) error
	// Download puts an official build into the empty folder dir and reports
	// bytes so far and in all (0 while unknown). It fails within 10 s when
	// there is no network.
	Download(ctx context.Context, dir string, progress func(done, total int64)) error
}

// Library is an engine library on disk.
type Library struct{ Path, Version, Origin string }

// Options say what to set up, and where.
type Options struct {
	Home    string   // Retort's home folder
	Offline bool     // make no connection; use what is there
	Env     []string // the caller's environment ("key=value"), of which children get what they need and no more

	Engine    Engine
	EngineDir string // a folder with the engine that the user named; empty for Home/engine

	Registry *models.Registry
	Models   []models.Entry // those to have, such as models.Catalogue()

	Python string // the interpreter that the user named; empty to search PATH
	Lock   []byte // requirements with hashes for the Python environment
}

// New returns the pieces in the order in which they are best installed.
func New(o Options) []Piece {
	return []Piece{newEngine(o), newStarters(o), newPython(o)}
}

// Install gets every piece that is not there. A piece that fails does not keep
// the others from being installed: the error then has Unwrap() []error, whose
// elements are failures of one line, most of them an [*Error] with a hint. Only
// one set-up runs in a home at a time: the error wraps ErrBusy for a second.
func Install(ctx context.Context, home string, pieces []Piece, p Progress) error {
	if err := os.MkdirAll(tempRoot(home), 0o755); err != nil {
		return problem("set up", home, err)
	}
	lock, err := files.TryLock(filepath.Join(home, lockFile))
	if errors.Is(err, files.ErrLocked) {
		err = ErrBusy
	}
	if err != nil {
		return problem("set up", home, err)
	}
	defer lock.Close()
	if err := clearTemp(home); err != nil {
		return problem("set up", home, err)
	}
	defer clearTemp(home)
	var failures []error
	for _, piece := range pieces {
		if piece.Status(ctx).OK {
			continue
		}
		if err := piece.Install(ctx, p); err != nil {
			failures = append(failures, each(err)...)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("set up: %w", err)
		}
	}
	return errors.Join(failures...)
}

// each takes apart what a piece has joined.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// Folders that hold unfinished work. The first is emptied at every start, the
// second holds what is checked and worth keeping.
func tempRoot(home string) string  { return filepath.Join(home, "cache", "tmp") }
func cacheRoot(home string) string { return filepath.Join(home, "cache", "setup") }

func clearTemp(home string) error {
	entries, err := os.ReadDir(tempRoot(home))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(tempRoot(home), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// tempDir makes a folder on the file system of home, so that what is made in
// it can be renamed into place.
func tempDir(home string) (string, error) {
	if err := os.MkdirAll(tempRoot(home), 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(tempRoot(home), "")
}

// replaceDir puts the folder made at temp in the place of dir.
func replaceDir(home, temp, dir string) error {
	old, err := tempDir(home)
	if err != nil {
		return err
	}
	defer os.RemoveAll(old)
	if err := os.Rename(dir, filepath.Join(old, "old")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Rename(temp, dir)
}

// writeFile writes what r holds to path: whole, or not at all.
func writeFile(path string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing to remove after the rename
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
