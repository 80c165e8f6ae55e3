package openai

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	api "github.com/sashabaranov/go-openai"

	"retort/llm"
)

// ErrConnection says that the service could not be asked, or gave no reply. Nothing
// of an answer was received.
var ErrConnection = errors.New("no reply")

// StatusError is what a service says instead of an answer, or in the middle of
// one. It wraps llm.ErrContextOverflow or llm.ErrBadRequest where it means them.
type StatusError struct {
	Status     int           // HTTP status; the one in the error itself if it came inside a stream
	RetryAfter time.Duration // how long the service asks to wait; 0 if it does not say
	Provider   string        // "openai"
	Message    string        // the service's words: one line, keys taken out
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s says %d: %s", e.Provider, e.Status, e.Message)
}

// Unwrap returns the error that e is a case of, or nil.
func (e *StatusError) Unwrap() error {
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		if overflow.MatchString(e.Message) {
			return llm.ErrContextOverflow
		}
		return llm.ErrBadRequest
	}
	return nil
}

// overflow knows the words of OpenAI ("maximum context length"), llama-server
// ("exceeds the available context size") and their relatives.
var overflow = regexp.MustCompile(`(?i)context[ _](length|size|window)`)

// Hint returns one sentence on what the user can do, or "".
func (e *StatusError) Hint() string {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "check the key of " + e.Provider
	case http.StatusNotFound:
		return "check the model's name and the base URL of " + e.Provider
	case http.StatusTooManyRequests:
		return "wait, or check the quota at " + e.Provider
	}
	return ""
}

// refused turns the error of a call that brought no stream into one of ours.
func (m *Model) refused(ctx context.Context, c *call, err error) error {
	var (
		said  *api.APIError
		other *api.RequestError
	)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &said):
		return m.statusError(c, said.Message)
	case errors.As(err, &other):
		return m.statusError(c, string(other.Body))
	case !c.sent: // go-openai knows what some models do not take
		return fmt.Errorf("%w: %s", llm.ErrUnsupported, m.scrub(err.Error()))
	}
	// Only the text goes on: the chain may quote the service, and so the key.
	return fmt.Errorf("%w from %s: %s", ErrConnection, m.base.Host, m.scrub(err.Error()))
}

func (m *Model) statusError(c *call, message string) *StatusError {
	return &StatusError{
		Status:     c.reply.StatusCode,
		RetryAfter: retryAfter(c.reply.Header.Get("Retry-After"), time.Now()),
		Provider:   m.provider(),
		Message:    m.scrub(message),
	}
}

// broken turns an error in the middle of a stream into one of ours.
func (m *Model) broken(err error) error {
	var (
		said   *api.APIError
		record *recordError
	)
	switch {
	case errors.As(err, &record):
		err = &StatusError{Status: record.status, Provider: m.provider(), Message: m.scrub(record.message)}
	case errors.As(err, &said):
		err = &StatusError{Status: http.StatusOK, Provider: m.provider(), Message: m.scrub(said.Message)}
	default:
		err = errors.New(m.scrub(err.Error()))
	}
	return fmt.Errorf("%w: %w", llm.ErrIncomplete, err)
}

// retryAfter reads the header's two forms, seconds and a date.
func retryAfter(s string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil && seconds > 0 && seconds < 1e6 {
		return time.Duration(seconds * float64(time.Second))
	}
	if at, err := http.ParseTime(s); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// keyLike knows the shapes of common keys, half hidden ones included: services
// like to quote the key that they refuse, or another one.
var keyLike = regexp.MustCompile(`(?i)\b(?:(?:sk|pk|hf|gsk|xai|key)[-_]|AIza)[-_*.a-z0-9]{8,}`)

// scrub makes foreign text fit for an error message: without keys, line breaks or
// control characters, and not endless.
func (m *Model) scrub(s string) string {
	const most = 300
	if key := m.key.reveal(); key != "" {
		s = strings.ReplaceAll(s, key, redacted)
	}
	s = keyLike.ReplaceAllString(s, redacted)
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
