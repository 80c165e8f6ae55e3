package openai_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/llm"
	"retort/remote/remotetest"
)

func TestGenerate_readsTheAnswer(t *testing.T) {
	half := `{"token":"\\xc3","logprob":-0.1,"bytes":[195],"top_logprobs":[{"token":"\\xc3","logprob":-0.1,"bytes":[195]}]}`
	rest := `{"token":"\\xa9","logprob":-0.2,"bytes":[169],"top_logprobs":[]}`
	m, _ := adapter.Open(t, remotetest.Events(": queued\n\nevent: message\nid: 1\n", remotetest.Data(opening,
		chunk(`{"content":""}`, `{"content":[`+half+`]}`, ""), chunk(`{"content":"é"}`, `{"content":[`+rest+`]}`, ""),
		chunk(`{"content":"!"}`, "", "length"), usage(12, 3), "[DONE]")))
	got, err := llm.Collect(t.Context(), m, llm.Request{Messages: hello.Messages, Logprobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got.Timing.Total < got.Timing.FirstToken || got.Timing.FirstToken <= 0 {
		t.Errorf("timing %+v, want a first token before the end", got.Timing)
	}
	got.Timing = llm.Timing{}
	want := llm.Response{
		Text: "é!",
		Logprobs: []llm.TokenLogprob{
			{Token: "\xc3", Logprob: -0.1, Top: []llm.TokenLogprob{{Token: "\xc3", Logprob: -0.1}}},
			{Token: "\xa9", Logprob: -0.2}},
		FinishReason: llm.FinishLength,
		Usage:        llm.Usage{InputTokens: 12, CachedTokens: 1, OutputTokens: 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestGenerate_endings(t *testing.T) {
	for name, tc := range map[string]struct {
		chat   http.HandlerFunc
		reason llm.FinishReason
		warns  bool // that there is no usage
	}{
		"all of it":            {records(text("hi"), finish("stop"), usage(1, 1), "[DONE]"), llm.FinishStop, false},
		"no [DONE]":            {records(text("hi"), finish("stop"), usage(1, 1)), llm.FinishStop, false},
		"no usage":             {records(text("hi"), finish("stop"), "[DONE]"), llm.FinishStop, true},
		"cut after the reason": {records(text("hi"), finish("length")), llm.FinishLength, true},
		"usage beside the end": {records(text("hi"), strings.Replace(finish("eos"), `"usage":null`, `"usage":{"prompt_tokens":1,"completion_tokens":1}`, 1), "[DONE]"), llm.FinishStop, false},
		"withheld":             {records(text("hi"), finish("content_filter"), usage(1, 1), "[DONE]"), llm.FinishContentFilter, false},
		"refused in words":     {records(text("hi"), chunk(`{"refusal":"I can't"}`, "", "stop"), usage(1, 1), "[DONE]"), llm.FinishContentFilter, false},
		"a sent U+FFFD":        {records(`{"choices":[{"delta":{"content":"\uFFFD"}}]}`, finish("stop"), usage(1, 1)), llm.FinishStop, false},
	} {
		m, _ := adapter.Open(t, tc.chat)
		resp, err := llm.Collect(t.Context(), m, hello)
		if err != nil || resp.FinishReason != tc.reason || resp.Text == "" {
			t.Errorf("%s: %+v, error %v; want %q", name, resp, err, tc.reason)
		}
		if warns := strings.Contains(strings.Join(resp.Warnings, " "), "usage"); warns != tc.warns {
			t.Errorf("%s: warnings %q", name, resp.Warnings)
		}
	}
}

func TestGenerate_toolCalls(t *testing.T) {
	call := func(index, id, name, args string) string {
		return chunk(`{"tool_calls":[{`+index+`"id":"`+id+`","type":"function","function":{"name":"`+name+`","arguments":`+quote(args)+`}}]}`, "", "")
	}
	for name, tc := range map[string]struct {
		chat http.HandlerFunc
		want []llm.ToolCall
	}{
		"two": {records(call(`"index":0,`, "a", "f", `{"x":1}`), call(`"index":1,`, "b", "g", ""), finish("tool_calls"), usage(1, 1)),
			[]llm.ToolCall{{ID: "a", Name: "f", Arguments: []byte(`{"x":1}`)}, {ID: "b", Name: "g", Arguments: []byte(`{}`)}}},
		"no index, no ID, another reason": {records(call("", "", "f", "{}"), finish("stop"), usage(1, 1)),
			[]llm.ToolCall{{ID: "call_0", Name: "f", Arguments: []byte(`{}`)}}},
		"none":           {records(finish("tool_calls"), usage(1, 1)), nil},
		"cut":            {records(call(`"index":0,`, "a", "f", `{"x":`), finish("length"), usage(1, 1)), nil},
		"nameless":       {records(call(`"index":0,`, "a", "", `{}`), finish("tool_calls"), usage(1, 1)), nil},
		"absurd index":   {records(call(`"index":1000000000,`, "a", "f", `{}`), finish("tool_calls")), nil},
		"negative index": {records(call(`"index":-1,`, "a", "f", `{}`), finish("tool_calls")), nil},
	} {
		m, _ := adapter.Open(t, tc.chat)
		resp, err := llm.Collect(t.Context(), m, hello)
		if tc.want == nil {
			if !errors.Is(err, llm.ErrIncomplete) {
				t.Errorf("%s: error %v, want ErrIncomplete", name, err)
			}
			continue
		}
		if diff := cmp.Diff(tc.want, resp.ToolCalls); diff != "" || err != nil || resp.FinishReason != llm.FinishToolCalls {
			t.Errorf("%s: error %v, reason %q, calls (-want +got):\n%s", name, err, resp.FinishReason, diff)
		}
	}
}

func TestGenerate_errorRecords(t *testing.T) {
	for name, tc := range map[string]struct {
		chat http.HandlerFunc
		says string
	}{
		"[DONE] without a reason": {records(text("half "), "[DONE]"), "answer is incomplete"},
		"error for a reason":      {records(text("half "), finish("insufficient_system_resource")), `"insufficient_system_resource"`},
		"with a code":             {records(`{"id":"x","error":{"message":"upstream","code":502},"choices":[]}`), "fake says 502: upstream"},
		"plain":                   {records(text("half "), `{"error":"out of memory"}`), "out of memory"},
		"odd":                     {records(text("half "), `{"error":{"detail":"odd"}}`), `"detail":"odd"`},
		"as a body":               {remotetest.Events(`{"error":{"message":"not streamed"}}`), "fake says 200: not streamed"},
		"held back": {func(w http.ResponseWriter, r *http.Request) {
			remotetest.Send(w, "data: {\"error\":{\"message\":\"overloaded\"}}\n")
			<-r.Context().Done() // neither another line nor the end
		}, "overloaded"},
	} {
		m, _ := adapter.Open(t, tc.chat)
		_, err := llm.Collect(t.Context(), m, hello)
		if !errors.Is(err, llm.ErrIncomplete) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: error %v, want ErrIncomplete with %q", name, err, tc.says)
		}
		remotetest.CheckText(t, err)
	}
}

func FuzzGenerate(f *testing.F) {
	f.Add(remotetest.Data(opening, text("hi"), finish("stop"), usage(1, 1), "[DONE]"))
	f.Add(remotetest.Data(`{"error":"x"}`))
	f.Add(remotetest.Data(chunk(`{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}`, "", "tool_calls")))
	f.Fuzz(func(t *testing.T, stream string) {
		m, _ := adapter.Open(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, stream) })
		_, err := llm.Collect(t.Context(), m, hello)
		if err != nil {
			remotetest.CheckText(t, err)
		}
	})
}
