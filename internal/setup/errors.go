package setup

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBusy means that another set-up works on the same home.
var ErrBusy = errors.New("another set-up is running")

// ErrOffline means that something is missing which only the network has.
var ErrOffline = errors.New("not here, and offline")

// ErrDigest means that what was fetched is not what was asked for.
var ErrDigest = errors.New("digest does not match")

// errPython means that no interpreter will do.
var errPython = errors.New("no Python 3.11 or newer found")

// Error is a failure with advice. Its text is one line.
type Error struct {
	Op    string // what was done: "get engine"
	Name  string // to what
	Cause error
	hint  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s %q: %v", e.Op, e.Name, e.Cause) }
func (e *Error) Unwrap() error { return e.Cause }

// Hint says what the user can do; it may be empty.
func (e *Error) Hint() string { return e.hint }

// problem wraps err, with the advice that its cause allows.
func problem(op, name string, err error) error {
	return &Error{Op: op, Name: name, Cause: err, hint: hintFor(err)}
}

func hintFor(err error) string {
	var missing *missingToolError
	var child *childError
	var inner interface{ Hint() string }
	switch {
	case errors.As(err, &inner) && inner.Hint() != "":
		return inner.Hint()
	case isDiskFull(err):
		return "free some space (8 GB are enough for everything) and run setup again: it goes on where it stopped"
	case errors.Is(err, ErrBusy):
		return "wait until it has ended, or stop it"
	case errors.Is(err, ErrOffline):
		return "run setup once without --offline"
	case errors.Is(err, errPython):
		return "install Python 3.11 or newer with pip and venv, or name one by RETORT_PYTHON"
	case errors.As(err, &missing):
		return missing.advice()
	case errors.Is(err, ErrDigest):
		return "run setup again; if it fails again, a proxy or mirror changes what it delivers"
	case strings.Contains(err.Error(), noEnsurePip):
		return "install Python's venv module (on Debian: python3-venv), or uv"
	case errors.As(err, &child):
		return "check the network and the client's own settings (proxy, mirror), then run setup again: it goes on where it stopped"
	}
	return ""
}

// missingToolError means that a program is not on PATH.
type missingToolError struct{ tool string }

func (e *missingToolError) Error() string { return e.tool + " is not installed" }

func (e *missingToolError) advice() string {
	switch e.tool {
	case "npm":
		return "install npm, which comes with Node.js, or name a folder with the engine by RETORT_ENGINE_DIR"
	case "pip":
		return "install pip for the Python in use, or uv"
	}
	return "install " + e.tool + ", or put it on PATH"
}

// sourcesError means that every source of a piece has failed.
type sourcesError struct{ failures []error }

func (e *sourcesError) Error() string {
	lines := make([]string, len(e.failures))
	for i, err := range e.failures {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "; ")
}

func (e *sourcesError) Unwrap() []error { return e.failures }

// isDiskFull also believes a child that says so.
func isDiskFull(err error) bool {
	var c *childError
	if errors.As(err, &c) && c.diskFull {
		return true
	}
	return errors.Is(err, errDiskFull)
}
