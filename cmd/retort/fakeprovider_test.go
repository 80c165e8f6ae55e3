package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// startProviders runs a service that speaks the three wire formats, at $PROVIDERS. It
// answers "four", refuses keys that begin with "bad" while quoting them, and notes
// each request in $WORK/calls.
func startProviders(env *testscript.Env) {
	calls := filepath.Join(env.WorkDir, "calls")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + r.Header.Get("X-Api-Key") + r.Header.Get("X-Goog-Api-Key")
		note(calls, r.URL.Path)
		if strings.HasPrefix(key, "bad") {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":{"message":"invalid key %s","code":401}}`, key)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
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

func note(path, line string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintln(f, line)
}

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
