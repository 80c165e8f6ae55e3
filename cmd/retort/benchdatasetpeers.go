package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"retort/internal/setup"
	"retort/scripts"
)

// peerProgram is a Python with what a peer needs, or why there is none.
type peerProgram struct{ path, missing string }

// findPython looks for an interpreter that has SQLite: the named one alone, if any.
func (s *datasetSides) findPython(ctx context.Context, named string) peerProgram {
	candidates := []string{named}
	if named == "" {
		candidates = []string{"python3", setup.PythonPath(s.r.path())}
	}
	p := peerProgram{missing: "no Python"}
	for _, path := range candidates {
		if p = s.ask(ctx, path, "sqlite", "import sqlite3; print(sqlite3.sqlite_version)"); p.missing == "" {
			break
		}
	}
	return p
}

func (s *datasetSides) findDatasketch(ctx context.Context, named string) peerProgram {
	if named == "" {
		return peerProgram{missing: "no --datasketch is given"}
	}
	return s.ask(ctx, named, "datasketch", "import datasketch; from importlib.metadata import version; print(version('datasketch'))")
}

// ask notes the version that a program prints.
func (s *datasetSides) ask(ctx context.Context, path, peer, program string) peerProgram {
	cmd := exec.CommandContext(ctx, path, "-c", program)
	out, err := captured(cmd)
	if err != nil {
		return peerProgram{missing: fmt.Sprintf("%s of %s: %s", peer, path, oneLine(err))}
	}
	s.machine.Versions[peer] = strings.TrimSpace(string(out))
	return peerProgram{path: path}
}

// script runs one of the peers' scripts.
func (s *datasetSides) script(ctx context.Context, python peerProgram, name string, args ...string) (map[string]float64, error) {
	source, err := fs.ReadFile(scripts.Peers(), name)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, python.path, append([]string{"-"}, args...)...)
	cmd.Stdin = bytes.NewReader(source)
	return figures(cmd)
}

// step runs one of benchSteps in a process of its own.
func (s *datasetSides) step(ctx context.Context, name string, args ...string) (map[string]float64, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args = append([]string{"bench-step", "--home", s.r.path(), "--step", name,
		"--examples", fmt.Sprint(s.examples), "--seed", fmt.Sprint(s.seed)}, args...)
	return figures(exec.CommandContext(ctx, self, args...))
}

// figures are the numbers that cmd prints as one JSON object.
func figures(cmd *exec.Cmd) (map[string]float64, error) {
	out, err := captured(cmd)
	if err != nil {
		return nil, err
	}
	var values map[string]float64
	if err := json.Unmarshal(out, &values); err != nil {
		return nil, fmt.Errorf("%q instead of figures: %w", firstLine(string(out), 80), err)
	}
	return values, nil
}

// captured is what cmd prints. Where it fails, the error has its last words.
func captured(cmd *exec.Cmd) ([]byte, error) {
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		err = errors.New(cmp.Or(lines[len(lines)-1], err.Error()))
	}
	return out, err
}
