package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"retort/dataset"
	"retort/dataset/socket"
	"retort/ensemble"
	"retort/internal/config"
	"retort/llm"
	"retort/local/ollama"
	"retort/models"
	"retort/models/gguf"
	"retort/models/ollamastore"
	"retort/trainer"
)

// The exit codes, as README documents them.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitPartial     = 3 // no consensus, or only a part was done
	exitNoModel     = 10
	exitBusy        = 11
	exitKeyMissing  = 12
	exitDamaged     = 13
	exitInterrupted = 130
)

// hintedError is an error that the user can do something about.
type hintedError struct {
	error
	text string
}

func (e hintedError) Hint() string  { return e.text }
func (e hintedError) Unwrap() error { return e.error }

// withHint adds a hint to err, which may be nil.
func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return hintedError{err, hint}
}

// errUsage: the command line cannot be carried out as it stands.
var errUsage = errors.New("usage")

// usageErr prints as its text alone; its kind decides the exit code.
type usageErr struct{ text, advice string }

func (e usageErr) Error() string   { return e.text }
func (e usageErr) Hint() string    { return e.advice }
func (e usageErr) Is(t error) bool { return t == errUsage }

func (e usageErr) hint(advice string) usageErr { e.advice = advice; return e }

func usage(format string, args ...any) usageErr {
	return usageErr{text: fmt.Sprintf(format, args...)}
}

// report tells the user about err and returns the exit code.
func (p *program) report(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) || errors.Is(err, trainer.ErrInterrupted) {
		fmt.Fprintln(p.stderr, "retort: interrupted")
		p.printHint(err)
		return exitInterrupted
	}
	for _, one := range parts(err) {
		fmt.Fprintln(p.stderr, "retort:", oneLine(one))
		p.printHint(one)
	}
	return exitCode(err)
}

// joinedType is the type that errors.Join returns.
var joinedType = fmt.Sprintf("%T", errors.Join(errUsage))

// parts are the errors that were joined to err, or err alone.
func parts(err error) []error {
	if fmt.Sprintf("%T", err) == joinedType { // other errors with several causes say how these belong together
		var all []error
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			all = append(all, parts(e)...)
		}
		return all
	}
	return []error{err}
}

func (p *program) printHint(err error) {
	var h interface{ Hint() string }
	switch {
	case errors.As(err, &h) && h.Hint() != "":
		fmt.Fprintln(p.stderr, "hint:", h.Hint())
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, dataset.ErrNoSpace):
		fmt.Fprintln(p.stderr, "hint: free some space, or have the data folder on another disk (--home, RETORT_HOME)")
	case errors.Is(err, dataset.ErrDamaged):
		fmt.Fprintln(p.stderr, "hint: `retort examples fsck --repair` makes good what is intact in the journal")
	case errors.Is(err, socket.ErrProtocol):
		fmt.Fprintln(p.stderr, "hint: wait for that process to end, or use the same version")
	case errors.Is(err, dataset.ErrBusy):
		fmt.Fprintln(p.stderr, "hint: another retort is using it and does not answer; wait for it to end")
	case errors.Is(err, llm.ErrContextOverflow):
		fmt.Fprintln(p.stderr, "hint: ask with less text")
	}
}

func oneLine(err error) string { return strings.Join(strings.Split(err.Error(), "\n"), "; ") }

func exitCode(err error) int {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case is(errUsage, config.ErrInvalid, ensemble.ErrUnknownStrategy):
		return exitUsage
	case is(ensemble.ErrNoConsensus, ensemble.ErrUnsure, errPartial):
		return exitPartial
	case is(models.ErrNotFound, ollamastore.ErrNotFound, ollama.ErrModelNotFound):
		return exitNoModel
	case is(dataset.ErrBusy):
		return exitBusy
	case is(errKeyMissing):
		return exitKeyMissing
	case is(fs.ErrNotExist):
		return exitError
	case is(dataset.ErrDamaged, errDamagedLedger, ollamastore.ErrDamaged, gguf.ErrNotGGUF, gguf.ErrTruncated, gguf.ErrMalformed):
		return exitDamaged
	}
	return exitError
}

// errPartial: the work is done but for a part that the text names.
var errPartial = errors.New("partial")

type partialErr struct{ text string }

func (e partialErr) Error() string   { return e.text }
func (e partialErr) Is(t error) bool { return t == errPartial }

func partial(format string, args ...any) error { return partialErr{fmt.Sprintf(format, args...)} }
