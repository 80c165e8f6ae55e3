package remotetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"retort/llm"
	"retort/remote"
)

// secrecy lets the service quote the key in every place that it can reach, and
// prints everything that holds it in every way.
func (a Adapter) secrecy(t *testing.T) {
	var out bytes.Buffer
	stderr := log.Writer()
	log.SetOutput(&out) // SDKs print too
	defer log.SetOutput(stderr)
	w := a.Wire
	var held []any
	for _, chat := range []http.HandlerFunc{
		w.Status(401, Canary), w.Status(429, "x", "Retry-After", Canary), w.Status(400, strings.Repeat("-", 290)+Canary),
		func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, Canary, http.StatusServiceUnavailable) },
		Events(w.Failure(Canary)), Events(w.Open, w.Failure(Canary)), Events(w.Open, Data(`{"`+Canary+`":`)), Events(Canary + "\n\n"),
		Events(w.Open, "data: "+Canary+"\n\n"), Events(`{"error":"` + Canary + `"}` + "\n"), malformed,
	} {
		m, _ := a.Open(t, chat)
		_, err := llm.Collect(t.Context(), m, Hello)
		if err == nil {
			t.Error("no error")
		}
		held = append(held, chain(err)...)
	}
	opts := (&Fake{Wire: w}).Start(t)
	m := a.model(t, opts)
	held = append(held, m, *opts.HTTPClient, opts, &opts, opts.Key, []remote.Secret{opts.Key},
		struct{ m any }{m}, struct{ s remote.Secret }{opts.Key})
	asJSON, err := json.Marshal(map[string]any{"key": opts.Key})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(asJSON)
	toJSON, toText := slog.New(slog.NewJSONHandler(&out, nil)), slog.New(slog.NewTextHandler(&out, nil))
	for _, v := range held {
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x\n", v, v, v, v, v, v)
		toJSON.Info("held", "value", v)
		toText.Info("held", "value", v)
	}
	for _, form := range []string{Canary, Canary[:12], fmt.Sprintf("%x", Canary)} {
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
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/9 %s\r\n\r\n", Canary)
}

// CheckText holds that err is one short line without the key.
func CheckText(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if s := err.Error(); !strings.HasPrefix(s, `generate "fake/tiny": `) || strings.Contains(s, Canary) ||
		len(s) > 500 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
		t.Errorf("error %.600q, want one short line that names the model and no key", s)
	}
}
