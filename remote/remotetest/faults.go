package remotetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"retort/llm"
	"retort/remote"
)

// Hello is a request that every adapter can send.
var Hello = llm.Request{Messages: []llm.Message{llm.User("hello")}}

// Adapter is an adapter under test.
type Adapter struct {
	Wire Wire
	New  func(remote.Options) (llm.Model, error)
}

// Open starts a fake that behaves as chat does and returns a model of it.
func (a Adapter) Open(t *testing.T, chat http.HandlerFunc) (llm.Model, *Fake) {
	t.Helper()
	f := &Fake{Wire: a.Wire, Chat: chat}
	return a.model(t, f.Start(t)), f
}

func (a Adapter) model(t *testing.T, opts remote.Options) llm.Model {
	t.Helper()
	m, err := a.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Faults is the exam in bad behaviour: of services, proxies and connections.
func Faults(t *testing.T, a Adapter) {
	t.Helper()
	t.Run("refusals", a.refusals)
	t.Run("broken_streams", a.broken)
	t.Run("whole_in_spite", a.whole)
	t.Run("hang", a.hang)
	t.Run("no_reply", a.noReply)
	t.Run("other_host", a.otherHost)
	t.Run("memory", a.memory)
	t.Run("secrecy", a.secrecy)
}

func (a Adapter) refusals(t *testing.T) {
	for name, tc := range map[string]struct {
		chat  http.HandlerFunc
		want  remote.StatusError
		retry bool
		is    error
	}{
		"wrong key": {a.Wire.Status(401, "invalid key "+Canary+"\nor sk-ant-****abcd?"),
			remote.StatusError{Status: 401, Message: "invalid key [redacted] or [redacted]?"}, false, nil},
		"rate limit": {a.Wire.Status(429, "slow down", "Retry-After", "20"),
			remote.StatusError{Status: 429, Message: "slow down", RetryAfter: 20 * time.Second}, true, nil},
		"server error": {a.Wire.Status(500, "oops"), remote.StatusError{Status: 500, Message: "oops"}, true, nil},
		"overloaded":   {a.Wire.Status(529, "busy"), remote.StatusError{Status: 529, Message: "busy"}, true, nil},
		"bad request":  {a.Wire.Status(400, "no such field"), remote.StatusError{Status: 400, Message: "no such field"}, false, llm.ErrBadRequest},
		"too long": {a.Wire.Status(400, "maximum context length is 8192"),
			remote.StatusError{Status: 400, Message: "maximum context length is 8192"}, false, llm.ErrContextOverflow},
		"no JSON and no end": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(502)
			io.WriteString(w, "<html>")
			for r.Context().Err() == nil {
				io.WriteString(w, strings.Repeat("x", 1<<10))
			}
		}, remote.StatusError{Status: 502, Message: "<html>" + strings.Repeat("x", 294) + "..."}, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := a.Open(t, tc.chat)
			_, err := llm.Collect(t.Context(), m, Hello)
			var got *remote.StatusError
			if !errors.As(err, &got) {
				t.Fatalf("error %v, want a StatusError", err)
			}
			if tc.want.Provider = "fake"; *got != tc.want {
				t.Errorf("got %+v, want %+v", *got, tc.want)
			}
			if _, retry := got.Retryable(); retry != tc.retry {
				t.Errorf("retryable %t, want %t", retry, tc.retry)
			}
			if tc.is != nil && !errors.Is(err, tc.is) || errors.Is(err, llm.ErrIncomplete) {
				t.Errorf("error %v, want %v", err, tc.is)
			}
			CheckText(t, err)
		})
	}
}

func (a Adapter) broken(t *testing.T) {
	w := a.Wire
	for name, tc := range map[string]struct {
		chat http.HandlerFunc
		says string
	}{
		"clean close before the end": {Events(w.Open, w.Text("half ")), "answer is incomplete"},
		"nothing at all":             {Events(""), "answer is incomplete"},
		"connection reset": {func(rw http.ResponseWriter, _ *http.Request) {
			Send(rw, w.Open, w.Text("half "), w.Text("more ")[:20])
			panic(http.ErrAbortHandler)
		}, "answer is incomplete: "},
		"cut record":           {Events(w.Open, w.Text("half "), strings.TrimSpace(w.Text("rest"))[:30]), "answer is incomplete"},
		"error in the middle":  {Events(w.Open, w.Text("half "), w.Failure("upstream died")), "upstream died"},
		"error at once":        {Events(w.Failure("no capacity")), "no capacity"},
		"HTML":                 {Events("<html>\x1b[31m busy</html>"), "answer is incomplete"},
		"huge line":            {Events(w.Open, w.Text(strings.Repeat("x", 9<<20)), w.Close(llm.FinishStop, llm.Usage{})), "more than an answer can hold"},
		"half a rune":          {Events(w.Open, strings.Replace(w.Text("caf@"), "@", "\xc3", 1), w.Close(llm.FinishStop, llm.Usage{})), "cut in two"},
		"half a pair":          {Events(w.Open, strings.Replace(w.Text("caf@"), "@", `\ud83d`, 1), w.Close(llm.FinishStop, llm.Usage{})), "cut in two"},
		"event without an end": {Events(w.Open, strings.Repeat("data: "+strings.Repeat("x", 1<<20)+"\n", 10)), "answer is incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := a.Open(t, tc.chat)
			var last error
			for _, err := range m.Generate(t.Context(), Hello) {
				last = err
			}
			if !errors.Is(last, llm.ErrIncomplete) || !strings.Contains(last.Error(), tc.says) {
				t.Errorf("error %v, want ErrIncomplete with %q", last, tc.says)
			}
			CheckText(t, last)
		})
	}
}

// whole holds that odd framing does not hurt an answer.
func (a Adapter) whole(t *testing.T) {
	w := a.Wire
	const answer = "naïve 日本語 🜛 done"
	end := w.Close(llm.FinishStop, llm.Usage{InputTokens: 3, OutputTokens: 4})
	good := w.Open + w.Text(answer[:10]) + w.Text(answer[10:]) + end
	for name, chat := range map[string]http.HandlerFunc{
		"byte by byte": func(rw http.ResponseWriter, _ *http.Request) {
			for i := range len(good) {
				Send(rw, good[i:i+1])
			}
		},
		"two ends":        Events(good, end),
		"comments":        Events(": queued\n\n", w.Open, ": keep-alive\n\n", good[len(w.Open):]),
		"many comments":   Events(strings.Repeat(": keep-alive\n\n", 5000), good),
		"carriage return": Events(strings.ReplaceAll(good, "\n", "\r\n")),
	} {
		m, _ := a.Open(t, chat)
		resp, err := llm.Collect(t.Context(), m, Hello)
		if err != nil || resp.Text != answer || resp.FinishReason != llm.FinishStop || resp.Usage.InputTokens != 3 || resp.Usage.OutputTokens != 4 {
			t.Errorf("%s: %+v, error %v; want %q and 3 + 4 tokens", name, resp, err, answer)
		}
	}
}

// hang stops an answer that hangs and waits for the service to see the connection
// close.
func (a Adapter) hang(t *testing.T) {
	for name, tc := range map[string]struct {
		first  string // sent before the hang
		cancel bool   // stop by the context, not by breaking out
	}{
		"cancel before headers": {"", true},
		"cancel mid-stream":     {a.Wire.Open + a.Wire.Text("a "), true},
		"break mid-stream":      {a.Wire.Open + a.Wire.Text("a "), false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			released := make(chan struct{})
			m, _ := a.Open(t, func(w http.ResponseWriter, r *http.Request) {
				defer close(released)
				if tc.first != "" {
					Send(w, tc.first)
				} else {
					cancel()
				}
				<-r.Context().Done()
			})
			var last error
			for _, err := range m.Generate(ctx, Hello) {
				if last = err; !tc.cancel {
					break
				}
				cancel()
			}
			if tc.cancel != errors.Is(last, context.Canceled) {
				t.Errorf("error %v", last)
			}
			select {
			case <-released:
			case <-time.After(5 * time.Second):
				t.Error("the connection is still open")
			}
		})
	}
}

func (a Adapter) noReply(t *testing.T) {
	opts := (&Fake{Wire: a.Wire}).Start(t)
	opts.BaseURL = "http://127.0.0.1:1"
	_, err := llm.Collect(t.Context(), a.model(t, opts), Hello)
	if !errors.Is(err, remote.ErrConnection) {
		t.Errorf("error %v, want ErrConnection", err)
	}
	var r interface{ Retryable() (time.Duration, bool) }
	if !errors.As(err, &r) {
		t.Errorf("error %v says nothing of another try", err)
	}
	CheckText(t, err)
}

func (a Adapter) otherHost(t *testing.T) {
	var reached bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	m, f := a.Open(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/?key="+Canary, http.StatusTemporaryRedirect)
	})
	_, err := llm.Collect(t.Context(), m, Hello)
	if !errors.Is(err, remote.ErrConnection) || !strings.Contains(err.Error(), "refused") || reached {
		t.Errorf("error %v, other host reached: %t", err, reached)
	}
	CheckText(t, err)
	if keys := f.Keys(); len(keys) != 1 || keys[0] != Canary {
		t.Errorf("the configured host was sent %q, want the key once", keys)
	}
}

// memory sends a gigabyte in a megabyte of gzip.
func (a Adapter) memory(t *testing.T) {
	var member bytes.Buffer
	z := gzip.NewWriter(&member)
	io.WriteString(z, strings.Repeat("x", 8<<20))
	z.Close()
	m, _ := a.Open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "text/event-stream")
		head := gzip.NewWriter(w)
		io.WriteString(head, a.Wire.Open+"data: ")
		head.Close()
		for range 128 {
			if _, err := w.Write(member.Bytes()); err != nil {
				return
			}
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := llm.Collect(t.Context(), m, Hello)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, llm.ErrIncomplete) {
		t.Errorf("error %v, want ErrIncomplete", err)
	}
	if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 100 {
		t.Errorf("%d MB were allocated on the way", used)
	}
}
