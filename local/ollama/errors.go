package ollama

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/ollama/ollama/api"

	"retort/llm"
)

// Errors that callers may need to tell apart. Those that a user can do something
// about also have a method Hint() string.
var (
	ErrModelNotFound = errors.New("no such model")              // the server does not have the model, or there is none to pull
	ErrNotRunning    = errors.New("no server answers")          // nothing listens at the address
	ErrRemote        = errors.New("it is on another machine")   // refused: see Options.AllowRemote
	ErrCloudModel    = errors.New("it runs on another machine") // refused: see Options.AllowCloud
	ErrOffline       = errors.New("fetching is not allowed")    // refused: see Options.AllowPull

	// ErrAdapter: the server cannot run an adapter over this architecture. Merge
	// it into its base and create the model from the result.
	ErrAdapter = errors.New("the server cannot apply the adapter")

	errEnough = errors.New("nothing more wanted") // ends api.Client's reading, never leaves the package
)

// StatusError is a refusal by the server. It wraps ErrModelNotFound, ErrAdapter,
// llm.ErrContextOverflow, llm.ErrUnsupported or llm.ErrBadRequest where it means
// one of them.
type StatusError struct {
	Status  int    // HTTP status
	Message string // the server's words, one line
}

func (e *StatusError) Error() string { return fmt.Sprintf("server says %d: %s", e.Status, e.Message) }

// Unwrap returns the error that e is a case of, or nil.
func (e *StatusError) Unwrap() error {
	switch {
	case e.Status == http.StatusNotFound && strings.Contains(e.Message, "model"):
		return ErrModelNotFound // any other 404 is of a server that is no Ollama
	case strings.Contains(e.Message, "exceeds the context length"):
		return llm.ErrContextOverflow
	case strings.Contains(e.Message, "loras are not yet implemented"):
		return ErrAdapter
	case strings.Contains(e.Message, "does not support "):
		return llm.ErrUnsupported
	case strings.Contains(e.Message, "invalid JSON schema in format"), strings.Contains(e.Message, "invalid format:"):
		return llm.ErrBadRequest
	case e.Status == http.StatusBadRequest:
		return llm.ErrBadRequest
	}
	return nil
}

// hinted is an error together with what the user can do about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// Hint returns one sentence for the user.
func (h hinted) Hint() string { return h.hint }

// cause turns an error of api.Client into one of ours. What it does not know was
// said inside a stream, after the status.
func (c *Client) cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // what the transport says of a cancelled request varies
	}
	var (
		status    api.StatusError
		unsigned  api.AuthorizationError
		transport *url.Error
	)
	switch {
	case errors.As(err, &status):
		return withHint(&StatusError{status.StatusCode, oneLine(status.ErrorMessage)})
	case errors.As(err, &unsigned):
		return withHint(&StatusError{unsigned.StatusCode, "not signed in to Ollama"})
	case errors.As(err, &transport):
		return c.unreachable(transport)
	}
	return errors.New(oneLine(err.Error()))
}

func withHint(e *StatusError) error {
	switch {
	case errors.Is(e, ErrModelNotFound):
		return hinted{e, "`ollama list` shows the models that are there; `ollama pull NAME` fetches one"}
	case e.Status == http.StatusServiceUnavailable && strings.Contains(e.Message, "pending requests"):
		return hinted{e, "ask less at a time, or start Ollama with a larger OLLAMA_MAX_QUEUE"}
	case e.Status == http.StatusUnauthorized:
		return hinted{e, "cloud models need `ollama signin`; local ones do not"}
	}
	return e
}

func (c *Client) unreachable(err *url.Error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return hinted{fmt.Errorf("%w at %s: %w", ErrNotRunning, c.base.Redacted(), op.Err),
			"start it with `ollama serve`, or correct its address"}
	}
	return fmt.Errorf("server at %s: %w", c.base.Redacted(), err.Err)
}

// oneLine makes foreign text fit for an error message: no line breaks or control
// characters, and not endless.
func oneLine(s string) string {
	const most = 300
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "..."
	}
	if s == "" {
		return "(no message)"
	}
	return s
}
