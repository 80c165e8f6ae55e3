package llmtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"retort/llm"
)

// Options tells TestModel about the model under test.
type Options struct {
	Prompt string // a question that yields an answer of several tokens; has a default

	// PromptTimeout bounds how long the model may go on after it was told to
	// stop; 0 means 100 ms, the promise of the local engine.
	PromptTimeout time.Duration
}

// TestModel is the exam that every Model passes. open returns the model under
// test; it is called once for each part of the exam, and may return the same
// model each time.
func TestModel(t *testing.T, open func(t *testing.T) llm.Model, opts Options) {
	t.Helper()
	if opts.Prompt == "" {
		opts.Prompt = "one two three four five six seven eight nine ten"
	}
	if opts.PromptTimeout == 0 {
		opts.PromptTimeout = 100 * time.Millisecond
	}
	x := exam{open: open, opts: opts}
	t.Run("id", x.id)
	t.Run("ends_in_one_done", x.endsInOneDone)
	t.Run("lazy_until_ranged", x.lazy)
	t.Run("output_limit", x.outputLimit)
	t.Run("stop_text_is_hidden", x.stopText)
	t.Run("logprobs_given_or_named", x.logprobs)
	t.Run("images_shown_or_refused", x.images)
	t.Run("tools_offered_or_refused", x.tools)
	t.Run("format_kept_or_refused", x.format)
	t.Run("refuses_bad_requests", x.badRequests)
	t.Run("break_stops_work", x.breakStops)
	t.Run("cancelled_before", x.cancelledBefore)
	t.Run("cancel_during", x.cancelDuring)
	t.Run("concurrent_use", x.concurrent)
	t.Run("several_samples", x.samples)
}

type exam struct {
	open func(t *testing.T) llm.Model
	opts Options
}

func (x exam) request() llm.Request {
	return llm.Request{
		Messages: []llm.Message{llm.User(x.opts.Prompt)},
		Sampling: llm.Sampling{Temperature: new(0.0), MaxOutputTokens: 8},
	}
}

func (x exam) id(t *testing.T) {
	m := x.open(t)
	first := m.ID()
	if second := m.ID(); first == "" || first != second {
		t.Errorf("ID() = %q, then %q, want a stable name", first, second)
	}
}

func (x exam) endsInOneDone(t *testing.T) {
	var text strings.Builder
	var dones int
	for ev, err := range x.open(t).Generate(t.Context(), x.request()) {
		if err != nil {
			t.Fatal(err)
		}
		switch ev := ev.(type) {
		case llm.Text:
			if dones > 0 {
				t.Error("text after Done")
			}
			if !utf8.ValidString(ev.Delta) {
				t.Errorf("delta %q splits a UTF-8 sequence", ev.Delta)
			}
			text.WriteString(ev.Delta)
		case llm.Done:
			dones++
			checkDone(t, ev)
		}
	}
	if dones != 1 {
		t.Errorf("%d Done events, want 1", dones)
	}
	if text.Len() == 0 {
		t.Error("the answer is empty")
	}
}

func checkDone(t *testing.T, d llm.Done) {
	t.Helper()
	if d.Usage.InputTokens <= 0 || d.Usage.OutputTokens <= 0 {
		t.Errorf("usage %+v, want tokens in and out", d.Usage)
	}
	if d.FinishReason == "" {
		t.Error("Done gives no finish reason")
	}
}

func (x exam) lazy(t *testing.T) {
	_ = x.open(t).Generate(t.Context(), x.request()) // never ranged over: nothing to release
}

func (x exam) outputLimit(t *testing.T) {
	req := x.request()
	req.Sampling.MaxOutputTokens = 2
	resp, err := llm.Collect(t.Context(), x.open(t), req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Usage.OutputTokens > 2 {
		t.Errorf("%d output tokens, want at most 2", resp.Usage.OutputTokens)
	}
	if resp.FinishReason != llm.FinishLength && resp.Usage.OutputTokens == 2 {
		t.Errorf("finish reason %q after the limit, want %q", resp.FinishReason, llm.FinishLength)
	}
}

// stopText learns an answer, then asks for it again with a stop text from its
// middle: what comes back is the part before.
func (x exam) stopText(t *testing.T) {
	m := x.open(t)
	whole, err := llm.Collect(t.Context(), m, x.request())
	if err != nil {
		t.Fatal(err)
	}
	runes := []rune(whole.Text)
	if len(runes) < 4 {
		t.Skipf("the answer %q is too short to cut", whole.Text)
	}
	stop := string(runes[len(runes)/2 : len(runes)/2+2])
	req := x.request()
	req.Sampling.Stop = []string{stop}
	resp, err := llm.Collect(t.Context(), m, req)
	if err != nil {
		t.Fatal(err)
	}
	want, _, _ := strings.Cut(whole.Text, stop)
	if resp.Text != want || resp.FinishReason != llm.FinishStop {
		t.Errorf("with stop %q: %q (%s), want %q (%s)", stop, resp.Text, resp.FinishReason, want, llm.FinishStop)
	}
}

func (x exam) logprobs(t *testing.T) {
	req := x.request()
	req.Logprobs = 2
	resp, err := llm.Collect(t.Context(), x.open(t), req)
	if errors.Is(err, llm.ErrUnsupported) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.Logprobs) == 0 {
		if !strings.Contains(strings.Join(resp.Warnings, " "), "logprob") {
			t.Errorf("logprobs dropped silently; warnings %q", resp.Warnings)
		}
		return
	}
	for _, lp := range resp.Logprobs {
		if lp.Logprob > 1e-6 || len(lp.Top) == 0 || len(lp.Top) > 2 {
			t.Errorf("token logprob %+v, want at most 0 and one or two alternatives", lp)
		}
	}
}

// answerOrRefusal collects the answer to req; ok is false if the model refused
// it in the way that Generate documents.
func (x exam) answerOrRefusal(t *testing.T, req llm.Request) (resp llm.Response, ok bool) {
	t.Helper()
	resp, err := llm.Collect(t.Context(), x.open(t), req)
	if errors.Is(err, llm.ErrUnsupported) {
		return resp, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return resp, true
}

func (x exam) images(t *testing.T) {
	var dot bytes.Buffer
	if err := png.Encode(&dot, image.NewGray(image.Rect(0, 0, 32, 32))); err != nil {
		t.Fatal(err)
	}
	req := x.request()
	req.Messages[0].Images = []llm.Image{{MediaType: "image/png", Data: dot.Bytes()}}
	plain, err := llm.Collect(t.Context(), x.open(t), x.request())
	if err != nil {
		t.Fatal(err)
	}
	if resp, ok := x.answerOrRefusal(t, req); ok && resp.Usage.InputTokens <= plain.Usage.InputTokens {
		t.Errorf("%d input tokens with an image, %d without: it was not shown", resp.Usage.InputTokens, plain.Usage.InputTokens)
	}
}

func (x exam) tools(t *testing.T) {
	req := x.request()
	req.Sampling.MaxOutputTokens = 64
	req.Tools = []llm.Tool{{Name: "weather", Description: "The weather in a city.",
		Parameters: []byte(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`)}}
	resp, ok := x.answerOrRefusal(t, req)
	if !ok {
		return
	}
	if called := resp.FinishReason == llm.FinishToolCalls; called != (len(resp.ToolCalls) > 0) {
		t.Errorf("finish reason %q with %d tool calls", resp.FinishReason, len(resp.ToolCalls))
	}
	for _, call := range resp.ToolCalls {
		if call.ID == "" || call.Name == "" || !json.Valid(call.Arguments) {
			t.Errorf("tool call %+v, want an ID, a name and arguments in JSON", call)
		}
	}
}

func (x exam) format(t *testing.T) {
	req := x.request()
	req.Sampling.MaxOutputTokens = 64
	req.Format = &llm.Format{JSONSchema: []byte(
		`{"type":"object","properties":{"sure":{"type":"boolean"}},"required":["sure"],"additionalProperties":false}`)}
	resp, ok := x.answerOrRefusal(t, req)
	if !ok {
		return
	}
	var got struct{ Sure *bool }
	if err := json.Unmarshal([]byte(resp.Text), &got); err != nil || got.Sure == nil {
		t.Errorf("answer %q is not of the schema (%v)", resp.Text, err)
	}
}

func (x exam) badRequests(t *testing.T) {
	m := x.open(t)
	for name, req := range map[string]llm.Request{
		"no messages":  {},
		"unknown role": {Messages: []llm.Message{{Role: "bard", Content: "hello"}}},
		"temperature":  {Messages: []llm.Message{llm.User("hi")}, Sampling: llm.Sampling{Temperature: new(-1.0)}},
		"two formats": {Messages: []llm.Message{llm.User("hi")},
			Format: &llm.Format{JSONSchema: []byte(`{}`), Grammar: "root ::= \"a\""}},
		"nameless tool": {Messages: []llm.Message{llm.User("hi")}, Tools: []llm.Tool{{}}},
		"empty stop":    {Messages: []llm.Message{llm.User("hi")}, Sampling: llm.Sampling{Stop: []string{""}}},
	} {
		if _, err := llm.Collect(t.Context(), m, req); !errors.Is(err, llm.ErrBadRequest) {
			t.Errorf("%s: error %v, want ErrBadRequest", name, err)
		}
	}
}

func (x exam) breakStops(t *testing.T) {
	m := x.open(t)
	var broke time.Time
	for _, err := range m.Generate(t.Context(), x.request()) {
		if err != nil {
			t.Fatal(err)
		}
		broke = time.Now()
		break
	}
	if d := time.Since(broke); d > x.opts.PromptTimeout {
		t.Errorf("the range ended %v after break, want at most %v", d, x.opts.PromptTimeout)
	}
	if _, err := llm.Collect(t.Context(), m, x.request()); err != nil {
		t.Errorf("the next request after a break: %v", err)
	}
}

func (x exam) cancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := llm.Collect(ctx, x.open(t), x.request()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func (x exam) cancelDuring(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := x.request()
	req.Sampling.MaxOutputTokens = 0
	var cancelled time.Time
	var last error
	for ev, err := range x.open(t).Generate(ctx, req) {
		if _, done := ev.(llm.Done); done && cancelled.IsZero() {
			t.Skip("the answer ended before it could be cancelled")
		}
		last = err
		if cancelled.IsZero() {
			cancelled = time.Now()
			cancel()
		}
	}
	if d := time.Since(cancelled); d > x.opts.PromptTimeout {
		t.Errorf("the range ended %v after cancellation, want at most %v", d, x.opts.PromptTimeout)
	}
	if last != nil && !errors.Is(last, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", last)
	}
}

func (x exam) concurrent(t *testing.T) {
	m := x.open(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := llm.Collect(t.Context(), m, x.request()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func (x exam) samples(t *testing.T) {
	req := x.request()
	req.Sampling.Temperature, req.Sampling.Seed = new(1.0), new(int64(7))
	out, err := llm.CollectN(t.Context(), x.open(t), req, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, resp := range out {
		if resp.Index != i || resp.FinishReason == "" {
			t.Errorf("sample %d: %+v, want a whole answer with its index", i, resp)
		}
	}
}
