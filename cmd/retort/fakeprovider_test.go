package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// startProviders runs a service that speaks the three wire formats, at $PROVIDERS. It
// answers "four", refuses keys that begin with "bad" while quoting them, and notes
// each request in $WORK/calls. Under /flaky it is busy once, under /lost a gateway gives
// up on it, under /slow it takes a moment, under /held it waits until there is a file
// $WORK/go. Asked for JSON it thinks up questions.
func startProviders(env *testscript.Env) {
	calls := filepath.Join(env.WorkDir, "calls")
	var busy atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + r.Header.Get("X-Api-Key") + r.Header.Get("X-Goog-Api-Key")
		note(calls, r.URL.Path)
		if strings.HasPrefix(key, "bad") {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":{"message":"invalid key %s","code":401}}`, key)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/flaky/") && busy.Add(1) == 1 {
			w.Header().Set("Retry-After", "0.1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/lost/") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/slow/") {
			time.Sleep(300 * time.Millisecond)
		}
		if strings.HasPrefix(r.URL.Path, "/held/") && !awaitFile(r.Context(), filepath.Join(env.WorkDir, "go")) {
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		if bytes.Contains(body, []byte(`"json_schema"`)) {
			io.WriteString(w, strings.Replace(fakeAnswers["/chat/completions"], `"four"`, fakeQuestions, 1))
			return
		}
		for suffix, answer := range fakeAnswers {
			if strings.HasSuffix(r.URL.Path, suffix) {
				io.WriteString(w, answer)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	env.Defer(srv.Close)
	env.Setenv("PROVIDERS", srv.URL)
}

// awaitFile reports whether a file is there before ctx ends.
func awaitFile(ctx context.Context, path string) bool {
	tick := time.NewTicker(5 * time.Millisecond) // a script makes the file: there is nothing to wait on
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

func note(path, line string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintln(f, line)
}

// fakeQuestions is the JSON text of a JSON answer.
const fakeQuestions = `"{\"questions\": [\"How much is three and one?\", \"How much is six minus two?\", \"What is 2+2?\", \"...\"]}"`

var fakeAnswers = map[string]string{
	"/chat/completions": `data: {"choices":[{"index":0,"delta":{"content":"four"}}]}` + "\n\n" +
		`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100}}` + "\n\ndata: [DONE]\n\n",
	"/v1/messages": "event: message_start\n" + `data: {"type":"message_start","message":{"usage":{"input_tokens":1000,"output_tokens":1}}}` + "\n\n" +
		"event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"four"}}` + "\n\n" +
		"event: message_delta\n" + `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":100}}` + "\n\n" +
		"event: message_stop\n" + `data: {"type":"message_stop"}` + "\n\n",
	":streamGenerateContent": `data: {"candidates":[{"content":{"parts":[{"text":"four"}],"role":"model"},"finishReason":"STOP"}],` +
		`"usageMetadata":{"promptTokenCount":1000,"candidatesTokenCount":100}}` + "\n\n",
}
