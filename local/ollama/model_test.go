package ollama_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/local/ollama"
)

// able is what the server says of a model that can do everything.
const able = `{"capabilities":["completion","tools","vision","thinking"],"parameters":"num_ctx                        2048"}`

var hello = llm.Request{Messages: []llm.Message{llm.User("hello")}}

func TestModel_passesTheExam(t *testing.T) {
	for name, f := range map[string]*fake{
		"current":          {logprobs: true},
		"able":             {logprobs: true, show: able},
		"without logprobs": {version: "0.12.10"},
	} {
		t.Run(name, func(t *testing.T) {
			llmtest.TestModel(t, func(t *testing.T) llm.Model { return f.model(t) }, llmtest.Options{})
		})
	}
}

func TestGenerate_mapsTheRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		req  llm.Request
		show string
		want map[string]any // beside model, messages, truncate and shift
	}{
		"defaults": {hello, "", map[string]any{"options": map[string]any{"num_predict": -1.0}}},
		"all sampling": {llm.Request{Messages: hello.Messages, Sampling: llm.Sampling{
			Temperature: new(0.0), TopP: new(0.9), TopK: new(0), MinP: new(0.05), Seed: new(int64(42)),
			MaxOutputTokens: 17, Stop: []string{"\n\n", "END"}}}, "",
			map[string]any{"options": map[string]any{"temperature": 0.0, "repeat_penalty": 1.0, "top_p": 0.9, "top_k": 0.0,
				"min_p": 0.05, "seed": 42.0, "num_predict": 17.0, "stop": []any{"\n\n", "END"}}}},
		"seed that means random": {llm.Request{Messages: hello.Messages, Sampling: llm.Sampling{Seed: new(int64(-1))}}, "",
			map[string]any{"options": map[string]any{"num_predict": -1.0, "seed": 2147483647.0}}},
		"stop beside the model's own": {llm.Request{Messages: hello.Messages, Sampling: llm.Sampling{Stop: []string{"END"}}},
			`{"parameters":"temperature                    0.3\nstop                           \"<|im_end|>\"\nstop                           \"a\\nb\""}`,
			map[string]any{"options": map[string]any{"num_predict": -1.0, "stop": []any{"END", "<|im_end|>", "a\nb"}}}},
		"logprobs": {llm.Request{Messages: hello.Messages, Logprobs: 3}, "",
			map[string]any{"logprobs": true, "top_logprobs": 3.0, "options": map[string]any{"num_predict": -1.0}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{show: tc.show}
			if _, err := llm.Collect(t.Context(), f.model(t), tc.req); err != nil {
				t.Fatal(err)
			}
			tc.want["model"] = "tiny:latest"
			tc.want["messages"] = []any{map[string]any{"role": "user", "content": "hello"}}
			tc.want["truncate"], tc.want["shift"] = false, false
			if diff := cmp.Diff(tc.want, f.lastBody("/api/chat")); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGenerate_readsTheAnswer(t *testing.T) {
	f := &fake{chat: lines(
		`{"message":{"role":"assistant","content":"","thinking":"hm"},"done":false,"logprobs":[{"token":"hm","logprob":-9}]}`,
		`{"message":{"role":"assistant","content":"é"},"done":false,"logprobs":[`+
			`{"token":"\ufffd","logprob":-0.1,"bytes":[195],"top_logprobs":[{"token":"\ufffd","logprob":-0.1,"bytes":[195]}]},`+
			`{"token":"\ufffd","logprob":-0.2,"bytes":[169]}]}`,
		done("length", 12, 3))}
	got, err := llm.Collect(t.Context(), f.model(t), llm.Request{Messages: hello.Messages, Logprobs: 30})
	if err != nil {
		t.Fatal(err)
	}
	if got.Timing.Total < got.Timing.FirstToken || got.Timing.FirstToken <= 0 {
		t.Errorf("timing %+v, want a first token before the end", got.Timing)
	}
	got.Timing = llm.Timing{}
	want := llm.Response{
		Text: "é",
		Logprobs: []llm.TokenLogprob{
			{Token: "\xc3", Logprob: -0.1, Top: []llm.TokenLogprob{{Token: "\xc3", Logprob: -0.1}}},
			{Token: "\xa9", Logprob: -0.2}},
		FinishReason: llm.FinishLength,
		Usage:        llm.Usage{InputTokens: 12, OutputTokens: 3},
		Warnings:     []string{"logprobs: 20 alternatives instead of 30"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestGenerate_faults(t *testing.T) {
	for name, tc := range map[string]struct {
		chat http.HandlerFunc
		want error
		says string
		hint string
	}{
		"clean close before done": {chat: lines(text("half ")), want: llm.ErrIncomplete},
		"clean close before text": {chat: lines(), want: llm.ErrIncomplete},
		"done without a reason":   {chat: lines(text("half "), done("", 1, 1)), want: llm.ErrIncomplete},
		"error inside a 200": {chat: lines(text("half "), `{"error":"an error was encountered\nwhile running the model"}`),
			want: llm.ErrIncomplete, says: "an error was encountered while running the model"},
		"no JSON inside a 200": {chat: lines("<html>\x1b[31m"), want: llm.ErrIncomplete, says: "<html> [31m"},
		"half a rune":          {chat: lines(text("half "), "{\"message\":{\"role\":\"assistant\",\"content\":\"caf\xc3"), want: llm.ErrIncomplete},
		"connection reset":     {chat: reset, want: llm.ErrIncomplete},
		"huge line":            {chat: lines(text(strings.Repeat("x", 9<<20)), done("stop", 1, 1)), want: llm.ErrIncomplete},
		"unknown model":        {chat: status(404, "model 'tiny' not found"), want: ollama.ErrModelNotFound, hint: "ollama pull"},
		"prompt too long":      {chat: status(400, "the input length exceeds the context length"), want: llm.ErrContextOverflow},
		"bad request":          {chat: status(400, "invalid options"), want: llm.ErrBadRequest, says: "invalid options"},
		"not signed in":        {chat: status(401, "unauthorized"), says: "not signed in", hint: "ollama signin"},
		"queue is full":        {chat: status(503, "server busy, please try again.  maximum pending requests exceeded"), says: "server busy", hint: "OLLAMA_MAX_QUEUE"},
		"server error":         {chat: status(500, "model runner has unexpectedly stopped"), says: "server says 500: model runner has"},
		"forwarded unasked": {chat: lines(`{"remote_host":"https://example.com","message":{"content":"hi"},"done":false}`),
			want: ollama.ErrCloudModel, hint: "local model"},
		"redirect": {chat: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.invalid/api/chat", http.StatusTemporaryRedirect)
		}, want: ollama.ErrRemote},
	} {
		t.Run(name, func(t *testing.T) {
			err := last((&fake{chat: tc.chat}).model(t).Generate(t.Context(), hello))
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Fatalf("error %v, want %v", err, tc.want)
			}
			if !strings.HasPrefix(err.Error(), `generate "ollama/tiny:latest": `) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %q, want the model and %q named", err, tc.says)
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) || len(err.Error()) > 500 {
				t.Errorf("error %.600q is not one short line", err)
			}
			if got := hint(err); !strings.Contains(got, tc.hint) || tc.hint == "" && got != "" {
				t.Errorf("hint %q, want %q", got, tc.hint)
			}
		})
	}
}

// TestGenerate_brokenRune holds that a server that cuts a rune between two
// records cannot make us yield text that is no UTF-8.
func TestGenerate_brokenRune(t *testing.T) {
	record := func(content string) string {
		return `{"message":{"role":"assistant","content":"` + content + `"},"done":false}`
	}
	f := &fake{chat: lines(record("caf\xc3"), record("\xa9"), done("stop", 1, 1))}
	for ev, err := range f.model(t).Generate(t.Context(), hello) {
		if text, ok := ev.(llm.Text); err != nil || ok && !utf8.ValidString(text.Delta) {
			t.Errorf("event %+v, error %v", ev, err)
		}
	}
}

func TestGenerate_notRunning(t *testing.T) {
	client, err := ollama.New("http://127.0.0.1:1", ollama.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = llm.Collect(t.Context(), client.Model("tiny"), hello)
	if !errors.Is(err, ollama.ErrNotRunning) || !strings.Contains(hint(err), "ollama serve") {
		t.Errorf("error %v with hint %q, want ErrNotRunning and how to start it", err, hint(err))
	}
}

func TestGenerate_wholeWhateverTheChunks(t *testing.T) {
	const answer = "naïve 日本語 🜛 done"
	f := &fake{chat: func(w http.ResponseWriter, _ *http.Request) {
		body := text(answer[:10]) + "\n" + text(answer[10:]) + "\n" + done("stop", 1, 1) + "\n"
		for i := range len(body) { // byte by byte: every rune and record is cut
			w.Write([]byte{body[i]})
			w.(http.Flusher).Flush()
		}
	}}
	resp, err := llm.Collect(t.Context(), f.model(t), hello)
	if err != nil || resp.Text != answer || !utf8.ValidString(answer[:10]) {
		t.Errorf("answer %q, error %v; want %q", resp.Text, err, answer)
	}
}

// TestGenerate_letsGo stops an answer that hangs and waits for the server to see
// the connection close.
func TestGenerate_letsGo(t *testing.T) {
	for name, tc := range map[string]struct {
		first  string // sent before the hang
		cancel bool   // stop by the context, not by breaking out
	}{
		"cancel before headers": {"", true},
		"cancel mid-stream":     {text("a "), true},
		"break mid-stream":      {text("a "), false},
		"hang after the end":    {text("a ") + "\n" + done("stop", 1, 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			released := make(chan struct{})
			f := &fake{chat: func(w http.ResponseWriter, r *http.Request) {
				defer close(released)
				if tc.first != "" {
					line(w, tc.first)
				} else {
					cancel()
				}
				<-r.Context().Done()
			}}
			var last error
			for ev, err := range f.model(t).Generate(ctx, hello) {
				if last = err; tc.cancel {
					cancel()
				} else if _, done := ev.(llm.Done); done || !strings.Contains(tc.first, `"done":true`) {
					break
				}
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

func TestGenerate_cancelledWithTheRestAtHand(t *testing.T) {
	f := &fake{chat: lines(text("a ") + "\n" + text("b") + "\n" + done("stop", 1, 1))} // one write
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var events int
	for ev, err := range f.model(t).Generate(ctx, hello) {
		if events++; events == 2 && !errors.Is(err, context.Canceled) {
			t.Errorf("after cancellation: %v, error %v", ev, err)
		}
		cancel()
	}
}

func TestGenerate_refusesCloudModels(t *testing.T) {
	const copied = `{"remote_host":"https://example.com:443","remote_model":"big"}`
	for name, show := range map[string]string{"big:120b-cloud": "", "big:cloud": "", "big:120B-CLOUD": "", "copy": copied} {
		f := &fake{show: show}
		_, err := llm.Collect(t.Context(), f.serve(t, ollama.Options{}).Model(name), hello)
		if !errors.Is(err, ollama.ErrCloudModel) || f.lastBody("/api/chat") != nil {
			t.Errorf("%s: error %v, want ErrCloudModel before the conversation is sent", name, err)
		}
	}
	client := (&fake{show: copied}).serve(t, ollama.Options{AllowCloud: true})
	if _, err := llm.Collect(t.Context(), client.Model("big:cloud"), hello); err != nil {
		t.Errorf("allowed, yet %v", err)
	}
}

func TestDescribe_localUnlessCloudAllowed(t *testing.T) {
	for _, tc := range []struct {
		url   string
		opts  ollama.Options
		local bool
	}{
		{ollama.DefaultURL, ollama.Options{}, true},
		{ollama.DefaultURL, ollama.Options{AllowCloud: true}, false},
		{"https://ollama.example", ollama.Options{AllowRemote: true}, false},
	} {
		client, err := ollama.New(tc.url, tc.opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := client.Model("x").Describe().Local; got != tc.local {
			t.Errorf("%s %+v: local %t, want %t", tc.url, tc.opts, got, tc.local)
		}
	}
}

func status(code int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fail(w, code, message) }
}

// reset cuts the connection in the middle of a record.
func reset(w http.ResponseWriter, _ *http.Request) {
	line(w, text("half "))
	w.Write([]byte(`{"message":{"con`))
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// last returns the error that a sequence ends with. Unlike llm.Collect it adds
// none of its own.
func last(events iter.Seq2[llm.Event, error]) (err error) {
	for _, err = range events {
	}
	return err
}
