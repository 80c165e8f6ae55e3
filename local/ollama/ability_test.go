package ollama_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/llm"
	"retort/local/ollama"
)

// weather is a conversation in which a tool was used.
var weather = llm.Request{
	Messages: []llm.Message{
		{Role: llm.RoleUser, Content: "Is this the sky of Paris?", Images: []llm.Image{{MediaType: "image/png", Data: []byte("PNG")}}},
		{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{
			{ID: "a", Name: "sky", Arguments: []byte(`{"city":"Paris","when":["now",1]}`)}, {ID: "b", Name: "time"}}},
		{Role: llm.RoleTool, Content: "grey", ToolCallID: "a"},
		{Role: llm.RoleTool, Content: "noon", ToolCallID: "b"},
	},
	Tools: []llm.Tool{{Name: "sky", Description: "The sky of a city.",
		Parameters: []byte(`{"type":"object","properties":{"city":{"type":"string"},"when":{"type":["array","null"]}},"required":["city"]}`)},
		{Name: "time"}},
	Format: &llm.Format{JSONSchema: []byte(`{"type":"object"}`)},
}

func TestGenerate_mapsToolsImagesAndFormat(t *testing.T) {
	f := &fake{show: able}
	if _, err := llm.Collect(t.Context(), f.model(t), weather); err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	want := object{
		"messages": []any{
			object{"role": "user", "content": "Is this the sky of Paris?", "images": []any{"UE5H"}},
			object{"role": "assistant", "content": "", "tool_calls": []any{
				object{"id": "a", "function": object{"index": 0.0, "name": "sky", "arguments": object{"city": "Paris", "when": []any{"now", 1.0}}}},
				object{"id": "b", "function": object{"index": 1.0, "name": "time", "arguments": object{}}}}},
			object{"role": "tool", "content": "grey", "tool_call_id": "a", "tool_name": "sky"},
			object{"role": "tool", "content": "noon", "tool_call_id": "b", "tool_name": "time"}},
		"tools": []any{
			object{"type": "function", "function": object{"name": "sky", "description": "The sky of a city.",
				"parameters": object{"type": "object", "required": []any{"city"}, "properties": object{
					"city": object{"type": "string"}, "when": object{"type": []any{"array", "null"}}}}}},
			object{"type": "function", "function": object{"name": "time", "parameters": object{"type": "object", "properties": object{}}}}},
		"format": object{"type": "object"},
	}
	body := f.lastBody("/api/chat")
	for name := range want {
		if diff := cmp.Diff(want[name], body[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestGenerate_givesToolCalls(t *testing.T) {
	f := &fake{show: able, chat: lines(
		text("Let me look. "),
		`{"message":{"role":"assistant","content":"","tool_calls":[{"id":"call_x","function":{"index":0,"name":"sky","arguments":{"b":1,"a":[2]}}}]},"done":false}`,
		`{"message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"time","arguments":{}}}]},"done":false}`,
		done("stop", 9, 9))}
	req := hello
	req.Tools = weather.Tools
	got, err := llm.Collect(t.Context(), f.model(t), req)
	if err != nil {
		t.Fatal(err)
	}
	want := []llm.ToolCall{{ID: "call_x", Name: "sky", Arguments: []byte(`{"b":1,"a":[2]}`)}, {ID: "call_2", Name: "time", Arguments: []byte(`{}`)}}
	if diff := cmp.Diff(want, got.ToolCalls); diff != "" || got.Text != "Let me look. " || got.FinishReason != llm.FinishToolCalls {
		t.Errorf("text %q, reason %q, calls (-want +got):\n%s", got.Text, got.FinishReason, diff)
	}
}

func TestGenerate_refusesWhatItCannotHonour(t *testing.T) {
	const plain = `{"capabilities":["completion"]}`
	with := func(change func(*llm.Request)) llm.Request {
		req := llm.Request{Messages: []llm.Message{llm.User("hello")}}
		change(&req)
		return req
	}
	image := with(func(r *llm.Request) { r.Messages[0].Images = weather.Messages[0].Images })
	tools := with(func(r *llm.Request) { r.Tools = weather.Tools })
	schema := with(func(r *llm.Request) { r.Format = weather.Format })
	for name, tc := range map[string]struct {
		show, version string
		req           llm.Request
		want          error
		says          string
	}{
		"images":            {plain, "", image, llm.ErrUnsupported, "images"},
		"tools":             {plain, "", tools, llm.ErrUnsupported, "tools"},
		"old, no word":      {`{"template":"{{ .Prompt }}"}`, "0.5.7", tools, llm.ErrUnsupported, "tools"},
		"old, with tools":   {`{"template":"{{ .Tools }}"}`, "0.5.7", tools, nil, ""},
		"old, projector":    {`{"projector_info":{"a":1}}`, "0.5.7", image, nil, ""},
		"older than schema": {plain, "0.4.9", schema, llm.ErrUnsupported, "format"},
		"schema":            {plain, "0.5.0", schema, nil, ""},
		"development build": {plain, "0.0.0", schema, nil, ""},
		"candidate":         {plain, "0.5.0-rc1", schema, nil, ""},
		"grammar":           {able, "", with(func(r *llm.Request) { r.Format = &llm.Format{Grammar: `root ::= "a"`} }), llm.ErrUnsupported, "grammar"},
		"schema true": {able, "", with(func(r *llm.Request) { r.Format = &llm.Format{JSONSchema: []byte("true")} }),
			llm.ErrUnsupported, "no object"},
		"embeddings alone": {`{"capabilities":["embedding"]}`, "", hello, llm.ErrUnsupported, "embedding"},
		"bad parameters": {able, "", with(func(r *llm.Request) { r.Tools = []llm.Tool{{Name: "x", Parameters: []byte(`[1]`)}} }),
			llm.ErrBadRequest, `parameters of tool "x"`},
		"bad arguments": {able, "", with(func(r *llm.Request) {
			r.Messages = append(r.Messages, llm.Message{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{Name: "x", Arguments: []byte("[")}}})
		}), llm.ErrBadRequest, `arguments of "x"`},
	} {
		f := &fake{show: tc.show, version: tc.version}
		_, err := llm.Collect(t.Context(), f.model(t), tc.req)
		if !errors.Is(err, tc.want) || tc.want == nil && err != nil || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: error %v, want %v about %q", name, err, tc.want, tc.says)
		}
		if asked := f.lastBody("/api/chat") != nil; asked != (tc.want == nil) {
			t.Errorf("%s: the model was asked: %t", name, asked)
		}
	}
}

func TestOpen_describes(t *testing.T) {
	for name, tc := range map[string]struct {
		f    *fake
		opts ollama.Options
		want llm.Description
	}{
		"able":  {&fake{show: able}, ollama.Options{}, llm.Description{ContextSize: 2048, Local: true, Images: true, Tools: true, Logprobs: true, Formats: true}},
		"old":   {&fake{version: "0.12.10"}, ollama.Options{}, llm.Description{Local: true, Formats: true}},
		"cloud": {&fake{show: `{"remote_host":"https://example.com","capabilities":["completion"]}`}, ollama.Options{AllowCloud: true}, llm.Description{Logprobs: true, Formats: true}},
	} {
		m, err := tc.f.serve(t, tc.opts).Open(t.Context(), "tiny")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, m.Describe()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if _, err := llm.Collect(t.Context(), m, hello); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := strings.Count(strings.Join(tc.f.called(), "\n"), "/api/show"); n != 1 {
			t.Errorf("%s: %d calls of show, want one", name, n)
		}
	}
}

func TestRaw_continuesThePrompt(t *testing.T) {
	f := &fake{generate: lines(
		`{"response":" Par","done":false,"logprobs":[{"token":" Par","logprob":-0.5}]}`,
		`{"response":"is","done":false,"logprobs":[{"token":"is","logprob":-0.25}]}`,
		`{"response":"","done":true,"done_reason":"stop","prompt_eval_count":7,"eval_count":3}`)}
	m := f.model(t)
	req := ollama.RawRequest{Prompt: "The capital of France is", Sampling: llm.Sampling{Temperature: new(0.0), MaxOutputTokens: 9}, Logprobs: 1}
	got, err := llm.Gather(m.ID(), m.Raw(t.Context(), req))
	if err != nil || got.Text != " Paris" || len(got.Logprobs) != 2 || got.Usage.InputTokens != 7 || got.FinishReason != llm.FinishStop {
		t.Errorf("answer %+v, error %v", got, err)
	}
	body := f.lastBody("/api/generate")
	for name, want := range map[string]any{"prompt": req.Prompt, "raw": true, "truncate": false, "shift": false, "logprobs": true, "top_logprobs": 1.0,
		"options": map[string]any{"num_predict": 9.0, "temperature": 0.0, "repeat_penalty": 1.0}} {
		if diff := cmp.Diff(want, body[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	f = &fake{generate: lines(`{"response":"half","done":false}`)}
	if err := last(f.model(t).Raw(t.Context(), req)); !errors.Is(err, llm.ErrIncomplete) {
		t.Errorf("cut: error %v, want ErrIncomplete", err)
	}
	if err := last(f.model(t).Raw(t.Context(), ollama.RawRequest{})); !errors.Is(err, llm.ErrBadRequest) {
		t.Errorf("no prompt: error %v, want ErrBadRequest", err)
	}
}

func TestPull(t *testing.T) {
	whole := lines(`{"status":"pulling manifest"}`, `{"status":"pulling abc","digest":"sha256:abc","total":100,"completed":40}`,
		`{"status":"pulling abc","digest":"sha256:abc","total":100,"completed":100}`, `{"status":"success"}`)
	for name, tc := range map[string]struct {
		model string
		pull  http.HandlerFunc
		opts  ollama.Options
		want  error
		says  string
	}{
		"whole":        {"qwen3:8b", whole, ollama.Options{AllowPull: true}, nil, ""},
		"not allowed":  {"qwen3:8b", whole, ollama.Options{}, ollama.ErrOffline, "not allowed"},
		"cloud":        {"big:cloud", whole, ollama.Options{AllowPull: true}, ollama.ErrCloudModel, ""},
		"early close":  {"x", lines(`{"status":"pulling manifest"}`), ollama.Options{AllowPull: true}, nil, "stopped before it was done"},
		"no such file": {"x", lines(`{"error":"pull model manifest: file does not exist"}`), ollama.Options{AllowPull: true}, ollama.ErrModelNotFound, "file does not exist"},
	} {
		f := &fake{pull: tc.pull}
		var seen []ollama.Progress
		err := f.serve(t, tc.opts).Pull(t.Context(), tc.model, func(p ollama.Progress) { seen = append(seen, p) })
		if (err == nil) != (name == "whole") || tc.want != nil && !errors.Is(err, tc.want) || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: error %v, want %v, %q", name, err, tc.want, tc.says)
		}
		if refused := errors.Is(tc.want, ollama.ErrOffline) || errors.Is(tc.want, ollama.ErrCloudModel); refused && len(f.called()) > 0 {
			t.Errorf("%s: asked the server %q", name, f.called())
		}
		if name == "whole" && seen[1] != (ollama.Progress{Stage: "pulling abc", Path: "sha256:abc", Done: 40, Total: 100}) {
			t.Errorf("progress %+v", seen)
		}
	}
}

// TestPull_reportsTheEnd is about a server that goes on to the next file between
// two of its reports.
func TestPull_reportsTheEnd(t *testing.T) {
	f := &fake{pull: lines(`{"status":"pulling a","digest":"sha256:a","total":100,"completed":40}`,
		`{"status":"pulling b","digest":"sha256:b","total":9,"completed":9}`, `{"status":"pulling c","digest":"sha256:c","total":5}`, `{"status":"success"}`)}
	var seen []string
	err := f.serve(t, ollama.Options{AllowPull: true}).Pull(t.Context(), "x", func(p ollama.Progress) {
		seen = append(seen, fmt.Sprintf("%s %d/%d", p.Path, p.Done, p.Total))
	})
	want := []string{"sha256:a 40/100", "sha256:a 100/100", "sha256:b 9/9", "sha256:c 0/5", "sha256:c 5/5", " 0/0"}
	if err != nil || !slices.Equal(seen, want) {
		t.Errorf("progress %q, error %v, want %q", seen, err, want)
	}
}

func TestCreate_adapterRefused(t *testing.T) {
	f := &fake{generate: status(500, "failed to initialize model: loras are not yet implemented")}
	err := f.serve(t, ollama.Options{}).Create(t.Context(), "mine", ollama.CreateOptions{GGUF: write(t, "GGUF"), Adapter: write(t, "GGUF a")})
	if !errors.Is(err, ollama.ErrAdapter) {
		t.Errorf("error %v, want ErrAdapter", err)
	}
	if f.lastBody("/api/copy") != nil || f.lastBody("/api/delete")["model"] != f.lastBody("/api/create")["model"] {
		t.Errorf("calls %q, want the trial gone and nothing named", f.called())
	}
}
