package openai_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"retort/llm"
	"retort/remote/openai"
)

func TestGenerate_brokenStreams(t *testing.T) {
	for name, tc := range map[string]struct {
		chat http.HandlerFunc
		says string
	}{
		"clean close before the end": {records(text("half ")), "answer is incomplete"},
		"nothing at all":             {body(""), "answer is incomplete"},
		"[DONE] without a reason":    {records(text("half "), "[DONE]"), "answer is incomplete"},
		"connection reset":           {reset, "answer is incomplete: "},
		"cut record":                 {body(`data: {"choices":[{"del`), "not as expected"},
		"error for a reason":         {records(text("half "), finish("insufficient_system_resource")), `"insufficient_system_resource"`},
		"error record":               {records(text("half "), `{"error":{"message":"overloaded","type":"server_error","code":null}}`), "fake says 200: overloaded"},
		"error record with a code":   {records(`{"id":"x","error":{"message":"upstream","code":502},"choices":[]}`), "fake says 502: upstream"},
		"error record, plain":        {records(text("half "), `{"error":"out of memory"}`), "out of memory"},
		"error record, odd":          {records(text("half "), `{"error":{"detail":"odd"}}`), `"detail":"odd"`},
		"error body":                 {body(`{"error":{"message":"not streamed"}}`), "fake says 200: not streamed"},
		"HTML":                       {body("<html>\x1b[31m busy</html>"), "answer is incomplete"},
		"huge line":                  {records(text(strings.Repeat("x", 9<<20)), finish("stop")), "token too long"},
		"half a rune":                {body("data: " + strings.Replace(text("caf@"), "@", "\xc3", 1) + "\n\n"), "cut in two"},
		"half a surrogate pair":      {records(strings.Replace(text("caf@"), "@", `\ud83d`, 1)), "cut in two"},
	} {
		t.Run(name, func(t *testing.T) {
			err := last((&fake{chat: tc.chat}).model(t).Generate(t.Context(), hello))
			if !errors.Is(err, llm.ErrIncomplete) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want ErrIncomplete with %q", err, tc.says)
			}
			checkText(t, err)
		})
	}
}

func TestGenerate_errorRecordIsNotHeldBack(t *testing.T) {
	f := &fake{chat: func(w http.ResponseWriter, r *http.Request) {
		body("data: {\"error\":{\"message\":\"overloaded\"}}\n")(w, r)
		w.(http.Flusher).Flush()
		<-r.Context().Done() // neither another line nor the end
	}}
	if _, err := llm.Collect(t.Context(), f.model(t), hello); !errors.Is(err, llm.ErrIncomplete) {
		t.Errorf("error %v, want ErrIncomplete", err)
	}
}

func TestGenerate_refusals(t *testing.T) {
	for name, tc := range map[string]struct {
		chat http.HandlerFunc
		want openai.StatusError
		is   error
		hint string
	}{
		"wrong key": {status(401, "Incorrect API key provided: "+canary+". Or sk-proj-****abcd?"),
			openai.StatusError{Status: 401, Message: "Incorrect API key provided: [redacted]. Or [redacted]?"}, nil, "check the key of fake"},
		"rate limit": {status(429, "slow down", "Retry-After", "20"),
			openai.StatusError{Status: 429, Message: "slow down", RetryAfter: 20 * time.Second}, nil, "wait"},
		"server error": {status(500, "oops\nat line 1"), openai.StatusError{Status: 500, Message: "oops at line 1"}, nil, ""},
		"unknown model": {status(404, "The model `x` does not exist"),
			openai.StatusError{Status: 404, Message: "The model `x` does not exist"}, nil, "model's name"},
		"bad request": {status(400, "Unsupported value: temperature"),
			openai.StatusError{Status: 400, Message: "Unsupported value: temperature"}, llm.ErrBadRequest, ""},
		"prompt too long": {status(400, "This model's maximum context length is 8192 tokens."),
			openai.StatusError{Status: 400, Message: "This model's maximum context length is 8192 tokens."}, llm.ErrContextOverflow, ""},
		"no JSON and no end": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(502)
			for body("<html>")(w, r); r.Context().Err() == nil; {
				body(strings.Repeat("x", 1<<10))(w, r)
			}
		}, openai.StatusError{Status: 502, Message: "<html>" + strings.Repeat("x", 294) + "..."}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := llm.Collect(t.Context(), (&fake{chat: tc.chat}).model(t), hello)
			var got *openai.StatusError
			if !errors.As(err, &got) {
				t.Fatalf("error %v, want a StatusError", err)
			}
			if tc.want.Provider = "fake"; *got != tc.want {
				t.Errorf("got %+v, want %+v", *got, tc.want)
			}
			if tc.is != nil && !errors.Is(err, tc.is) || errors.Is(err, llm.ErrIncomplete) {
				t.Errorf("error %v, want %v", err, tc.is)
			}
			if !strings.Contains(hint(err), tc.hint) || tc.hint == "" && hint(err) != "" {
				t.Errorf("hint %q, want %q", hint(err), tc.hint)
			}
			checkText(t, err)
		})
	}
}

func TestGenerate_retryAfterAsDate(t *testing.T) {
	f := &fake{chat: func(w http.ResponseWriter, r *http.Request) {
		status(503, "later", "Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))(w, r)
	}}
	_, err := llm.Collect(t.Context(), f.model(t), hello)
	var got *openai.StatusError
	if !errors.As(err, &got) || got.RetryAfter > time.Hour || got.RetryAfter < 59*time.Minute {
		t.Errorf("error %+v, want to wait almost an hour", err)
	}
}

func TestGenerate_noReply(t *testing.T) {
	opts := (&fake{}).options(t)
	opts.BaseURL = "http://127.0.0.1:1/v1"
	m, err := openai.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = llm.Collect(t.Context(), m, hello); !errors.Is(err, openai.ErrConnection) {
		t.Errorf("error %v, want ErrConnection", err)
	}
	checkText(t, err)
}

func TestGenerate_unsupportedByModel(t *testing.T) {
	opts := (&fake{}).options(t)
	opts.Model = "o1"
	m, err := openai.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = llm.Collect(t.Context(), m, llm.Request{Messages: hello.Messages, Logprobs: 1}); !errors.Is(err, llm.ErrUnsupported) {
		t.Errorf("error %v, want ErrUnsupported", err)
	}
}

func TestGenerate_keepsToItsHost(t *testing.T) {
	var reached bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	f := &fake{chat: func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/?key="+canary, http.StatusTemporaryRedirect)
	}}
	_, err := llm.Collect(t.Context(), f.model(t), hello)
	if !errors.Is(err, openai.ErrConnection) || !strings.Contains(err.Error(), "refused") || reached {
		t.Errorf("error %v, other host reached: %t", err, reached)
	}
	checkText(t, err)
	if want := "Bearer " + canary; len(f.keys) != 1 || f.keys[0] != want {
		t.Errorf("the configured host was sent %q, want %q", f.keys, want)
	}
}

// TestKey_staysSecret lets the service quote the key in every place that it can
// reach, and prints everything that holds it in every way.
func TestKey_staysSecret(t *testing.T) {
	var errs []error
	for _, chat := range []http.HandlerFunc{
		status(401, canary), status(429, "x", "Retry-After", canary), status(400, strings.Repeat("-", 290)+canary),
		records(`{"error":{"message":"` + canary + `"}}`), records(`{"error":"` + canary + `"}`), records(`{"error":{"a":"` + canary + `"}}`),
		records(finish(canary)), records(`{"choices":"` + canary + `"}`), body(`{"error":{"message":"` + canary + `"}}`), malformed,
	} {
		_, err := llm.Collect(t.Context(), (&fake{chat: chat}).model(t), hello)
		if err == nil {
			t.Error("no error")
		}
		errs = append(errs, err)
	}
	opts := (&fake{}).options(t)
	m, err := openai.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	held := []any{m, *m, *opts.HTTPClient, opts, &opts, opts.Key, []openai.Secret{opts.Key}, struct{ m any }{m}, struct{ s openai.Secret }{opts.Key}}
	for _, err := range errs {
		held = append(held, chain(err)...)
	}
	asJSON, err := json.Marshal(map[string]any{"key": opts.Key})
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer(asJSON)
	log := slog.New(slog.NewJSONHandler(out, nil))
	for _, v := range held {
		fmt.Fprintf(out, "%v %+v %#v %s %q %x\n", v, v, v, v, v, v)
		log.Info("held", "value", v)
		slog.New(slog.NewTextHandler(out, nil)).Info("held", "value", v)
	}
	for _, form := range []string{canary, canary[:12], fmt.Sprintf("%x", canary)} {
		if i := strings.Index(out.String(), form); i >= 0 {
			t.Errorf("the key shows: ...%s", out.String()[max(0, i-200):i+len(form)])
		}
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing is marked as redacted: is the key looked for?")
	}
}

// chain returns err and everything that it wraps.
func chain(err error) []any {
	out := []any{err}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			out = append(out, chain(inner)...)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			out = append(out, chain(inner)...)
		}
	}
	return out
}

// malformed replies with something that is no HTTP and quotes the key.
func malformed(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer func(c net.Conn) { c.Close() }(conn)
	fmt.Fprintf(conn, "HTTP/9 %s\r\n\r\n", canary)
}

// checkText holds that err is one short line without the key.
func checkText(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if s := err.Error(); !strings.HasPrefix(s, `generate "fake/tiny": `) || strings.Contains(s, canary) ||
		len(s) > 500 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
		t.Errorf("error %.600q, want one short line that names the model and no key", s)
	}
}
