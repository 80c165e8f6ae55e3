package remote

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

	"retort/llm"
)

// ErrConnection says that the service could not be asked, or gave no reply. Nothing
// of an answer was received.
var ErrConnection = errors.New("no reply")

// connectionError is ErrConnection in text and kind; asking again may help.
type connectionError struct{ host, cause string }

func (e *connectionError) Error() string {
	return fmt.Sprintf("%v from %s: %s", ErrConnection, e.host, e.cause)
}
func (e *connectionError) Is(target error) bool { return target == ErrConnection }

// Retryable says that the same request may succeed later.
func (e *connectionError) Retryable() (time.Duration, bool) { return 0, true }

// Hint returns one sentence on what the user can do.
func (e *connectionError) Hint() string { return "check the network and the base URL" }

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
// ("exceeds the available context size"), Anthropic ("prompt is too long"), Google
// ("input token count exceeds the maximum") and their relatives.
var overflow = regexp.MustCompile(`(?i)context[ _](length|size|window)|prompt is too long|token count .*exceeds`)

// overloaded is Anthropic's status for a service without capacity.
const overloaded = 529

// Retryable says whether the same request may succeed later, and how long the
// service asks to wait until then (0 if it does not say).
func (e *StatusError) Retryable() (time.Duration, bool) {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout, overloaded:
		return e.RetryAfter, true
	}
	return 0, false
}

// Hint returns one sentence on what the user can do, or "".
func (e *StatusError) Hint() string {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "check the key of " + e.Provider
	case http.StatusPaymentRequired:
		return "check the account's balance at " + e.Provider
	case http.StatusNotFound:
		return "check the model's name and the base URL of " + e.Provider
	case http.StatusTooManyRequests:
		return "wait, or check the quota at " + e.Provider
	}
	return ""
}

// StatusError says what the service answered to c, in these words of its own.
func (c *Call) StatusError(message string) *StatusError {
	return &StatusError{Status: c.Status(), RetryAfter: retryAfter(c.reply.Header, time.Now()),
		Provider: c.e.Provider(), Message: c.e.Scrub(message)}
}

// Refused turns the error of a call that brought no stream into one of ours. said
// gets the service's words out of the SDK's error; "" if that holds none.
func (c *Call) Refused(ctx context.Context, err error, said func(error) string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case c.Status() >= http.StatusBadRequest:
		words := said(err)
		if words == "" {
			words = err.Error()
		}
		return c.StatusError(words)
	case !c.sent: // SDKs know what some models do not take
		return fmt.Errorf("%w: %s", llm.ErrUnsupported, c.e.Scrub(err.Error()))
	}
	// Only the text goes on: the chain may quote the service, and so the key.
	return &connectionError{c.e.Host(), c.e.Scrub(err.Error())}
}

// Broken turns an error in the middle of a stream into one that wraps
// llm.ErrIncomplete. status is the one that the service put into the error; 0 if
// err is not the service's word.
func (c *Call) Broken(ctx context.Context, status int, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case status != 0:
		err = &StatusError{Status: status, Provider: c.e.Provider(), Message: c.e.Scrub(err.Error())}
	case c.Err() != nil:
		err = errors.New(c.e.Scrub(c.Err().Error()))
	default:
		err = errors.New(c.e.Scrub(err.Error()))
	}
	return fmt.Errorf("%w: %w", llm.ErrIncomplete, err)
}

// Ended is the error of a stream that ended before the service's terminal mark.
func (c *Call) Ended(ctx context.Context) error {
	if c.Err() != nil || ctx.Err() != nil {
		return c.Broken(ctx, 0, c.Err())
	}
	return llm.ErrIncomplete
}

// retryAfter reads the header's two forms, seconds and a date, and the finer one
// in milliseconds that some services add.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 && ms < 1e9 {
		return time.Duration(ms * float64(time.Millisecond))
	}
	s := h.Get("Retry-After")
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

// Scrub makes foreign text fit for an error message: without keys, line breaks or
// control characters, and not endless.
func (e *Endpoint) Scrub(s string) string {
	const most = 300
	if key := e.Key.Reveal(); key != "" {
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
