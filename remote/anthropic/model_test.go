package anthropic_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/remote"
	"retort/remote/anthropic"
	"retort/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire is the Messages API's format: named events, the reason before the end.
var wire = remotetest.Wire{
	Path:  "/v1/messages",
	Key:   func(h http.Header) string { return h.Get("X-Api-Key") },
	Parse: parse,
	Open: event("message_start", `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"tiny-1",`+
		`"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}`) +
		event("content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`) +
		event("ping", `{"type": "ping"}`),
	Text: text,
	Call: func(c llm.ToolCall) string {
		half := len(c.Arguments) / 2
		return event("content_block_stop", `{"type":"content_block_stop","index":0}`) +
			event("content_block_start", fmt.Sprintf(`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":%q,"name":%q,"input":{}}}`, c.ID, c.Name)) +
			toolInput("") + toolInput(string(c.Arguments[:half])) + toolInput(string(c.Arguments[half:]))
	},
	Close: func(reason llm.FinishReason, u llm.Usage) string {
		words := map[llm.FinishReason]string{llm.FinishStop: "end_turn", llm.FinishLength: "max_tokens", llm.FinishToolCalls: "tool_use"}
		return event("message_start", fmt.Sprintf(`{"type":"message_start","message":{"usage":{"input_tokens":%d,"output_tokens":1}}}`, u.InputTokens)) +
			event("content_block_stop", `{"type":"content_block_stop","index":0}`) + end(words[reason], u.OutputTokens)
	},
	Failure: func(message string) string { return failure("overloaded_error", message) },
	Refusal: func(_ int, message string) string {
		return fmt.Sprintf(`{"type":"error","error":{"type":"some_error","message":%q},"request_id":"req_1"}`, message)
	},
}

var adapter = remotetest.Adapter{Wire: wire, New: func(o remote.Options) (llm.Model, error) { return anthropic.New(o) }}

func event(name, data string) string { return fmt.Sprintf("event: %s\ndata: %s\n\n", name, data) }

func text(s string) string {
	return event("content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":`+quote(s)+`}}`)
}

func toolInput(s string) string {
	return event("content_block_delta", `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":`+quote(s)+`}}`)
}

func end(reason string, tokens int) string {
	return event("message_delta", fmt.Sprintf(`{"type":"message_delta","delta":{"stop_reason":%q,"stop_sequence":null},"usage":{"output_tokens":%d}}`, reason, tokens)) +
		event("message_stop", `{"type":"message_stop"}`)
}

func failure(kind, message string) string {
	return event("error", fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q}}`, kind, message))
}

func quote(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// wireRequest is a request as the service reads it.
type wireRequest struct {
	MaxTokens int `json:"max_tokens"`
	System    []struct{ Text string }
	Messages  []struct {
		Role    llm.Role
		Content []struct {
			Type, Text string
			Source     struct {
				Type, Data string
				MediaType  string `json:"media_type"`
			}
		}
	}
	Stop  []string `json:"stop_sequences"`
	Tools []struct {
		Name        string
		InputSchema json.RawMessage `json:"input_schema"`
	}
	OutputConfig struct {
		Format *struct {
			Type   string
			Schema json.RawMessage
		}
	} `json:"output_config"`
}

func parse(raw []byte) (llm.Request, error) {
	var in wireRequest
	if err := json.Unmarshal(raw, &in); err != nil {
		return llm.Request{}, err
	}
	if in.MaxTokens == 0 {
		return llm.Request{}, errors.New("max_tokens: Field required")
	}
	req := llm.Request{Sampling: llm.Sampling{MaxOutputTokens: in.MaxTokens, Stop: in.Stop}}
	for _, m := range in.Messages {
		msg := llm.Message{Role: m.Role}
		for _, c := range m.Content {
			msg.Content += c.Text
			if c.Type == "image" {
				data, err := base64.StdEncoding.DecodeString(c.Source.Data)
				if err != nil || c.Source.Type != "base64" {
					return req, fmt.Errorf("image: %v", err)
				}
				msg.Images = append(msg.Images, llm.Image{MediaType: c.Source.MediaType, Data: data})
			}
		}
		req.Messages = append(req.Messages, msg)
	}
	for _, t := range in.Tools {
		req.Tools = append(req.Tools, llm.Tool{Name: t.Name, Parameters: t.InputSchema})
	}
	if f := in.OutputConfig.Format; f != nil {
		if f.Type != "json_schema" {
			return req, fmt.Errorf("output_config %+v", f)
		}
		req.Format = &llm.Format{JSONSchema: f.Schema}
	}
	return req, nil
}

func ExampleNew() {
	model, err := anthropic.New(remote.Options{Key: func() string { return os.Getenv("ANTHROPIC_API_KEY") }, Model: "claude-haiku-4-5"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(model.ID())
	// Output: anthropic/claude-haiku-4-5
}

func TestModel_passesTheExam(t *testing.T) {
	f := &remotetest.Fake{Wire: wire}
	llmtest.TestModel(t, func(t *testing.T) llm.Model {
		m, err := adapter.New(f.Start(t))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, llmtest.Options{})
}

func TestModel_faults(t *testing.T) { remotetest.Faults(t, adapter) }

func TestGenerate_mapsTheRequest(t *testing.T) {
	f := &remotetest.Fake{Wire: wire}
	m, err := adapter.New(f.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	req := llm.Request{
		Messages: []llm.Message{llm.System("be brief"), {Role: llm.RoleUser, Content: "what?", Images: []llm.Image{{MediaType: "image/png", Data: []byte("dot")}}},
			{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{ID: "t1", Name: "look", Arguments: []byte(`{"x":1}`)}}},
			{Role: llm.RoleTool, ToolCallID: "t1", Content: "a dot"}, llm.System("in French")},
		Sampling: llm.Sampling{Temperature: new(0.0), TopP: new(0.5), TopK: new(7), MinP: new(0.1), Seed: new(int64(1)), Stop: []string{"END"}},
		Logprobs: 3,
		Tools:    []llm.Tool{{Name: "look", Description: "d", Parameters: []byte(`{"type":"object","properties":{"x":{"type":"number"}},"additionalProperties":false}`)}, {Name: "plain"}},
	}
	resp, err := llm.Collect(t.Context(), m, req)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kv ...any) map[string]any {
		out := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			out[kv[i].(string)] = kv[i+1]
		}
		return out
	}
	want := block("model", "tiny-1", "stream", true, "max_tokens", 4096.0, "temperature", 0.0, "top_p", 0.5, "top_k", 7.0, "stop_sequences", []any{"END"},
		"system", []any{block("type", "text", "text", "be brief"), block("type", "text", "text", "in French")},
		"messages", []any{
			block("role", "user", "content", []any{block("type", "image", "source", block("type", "base64", "media_type", "image/png", "data", "ZG90")), block("type", "text", "text", "what?")}),
			block("role", "assistant", "content", []any{block("type", "tool_use", "id", "t1", "name", "look", "input", block("x", 1.0))}),
			block("role", "user", "content", []any{block("type", "tool_result", "tool_use_id", "t1", "is_error", false, "content", []any{block("type", "text", "text", "a dot")})})},
		"tools", []any{
			block("name", "look", "description", "d", "input_schema", block("type", "object", "properties", block("x", block("type", "number")), "additionalProperties", false)),
			block("name", "plain", "input_schema", block("type", "object"))})
	if diff := cmp.Diff(want, f.Body()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	warnings := []string{"max_output_tokens: the service wants a limit; 4096 was taken", "min_p: the service takes none", "seed: the service takes none",
		"logprobs: the service gives none", "system: instructions within the conversation were put before it"}
	if diff := cmp.Diff(warnings, resp.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestGenerate_refusesWhatAModelCannot(t *testing.T) {
	schema := llm.Request{Messages: remotetest.Hello.Messages, Format: &llm.Format{JSONSchema: []byte(`{}`)}}
	grammar := llm.Request{Messages: remotetest.Hello.Messages, Format: &llm.Format{Grammar: `root ::= "a"`}}
	for name, tc := range map[string]struct {
		model string
		req   llm.Request
	}{"schema": {"claude-3-opus-20240229", schema}, "grammar": {"claude-opus-5", grammar}} {
		m, err := anthropic.New(remote.Options{Model: tc.model, BaseURL: "http://127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := llm.Collect(t.Context(), m, tc.req); !errors.Is(err, llm.ErrUnsupported) {
			t.Errorf("%s: error %v, want ErrUnsupported", name, err)
		}
	}
}

func TestGenerate_readsTheAnswer(t *testing.T) {
	start := event("message_start", `{"type":"message_start","message":{"usage":{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":85,"output_tokens":1}}}`)
	thought := event("content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}`) +
		event("content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}`) +
		event("content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}`)
	m, _ := adapter.Open(t, remotetest.Events(start, thought, text("a"), event("of_tomorrow", `{"type":"of_tomorrow"}`), text("b"), end("stop_sequence", 12)))
	got, err := llm.Collect(t.Context(), m, llm.Request{Messages: remotetest.Hello.Messages, Sampling: llm.Sampling{MaxOutputTokens: 9}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Timing.Total < got.Timing.FirstToken || got.Timing.FirstToken <= 0 {
		t.Errorf("timing %+v", got.Timing)
	}
	got.Timing = llm.Timing{}
	want := llm.Response{Text: "ab", FinishReason: llm.FinishStop, Usage: llm.Usage{InputTokens: 100, CachedTokens: 85, OutputTokens: 12}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestGenerate_endings(t *testing.T) {
	tool := wire.Call(llm.ToolCall{ID: "a", Name: "f", Arguments: []byte(`{"x":`)})
	for name, tc := range map[string]struct {
		stream string
		reason llm.FinishReason // empty: ErrIncomplete
		status int
	}{
		"withheld":               {wire.Open + text("hi") + end("refusal", 1), llm.FinishContentFilter, 0},
		"context full":           {wire.Open + text("hi") + end("model_context_window_exceeded", 1), llm.FinishLength, 0},
		"paused":                 {wire.Open + text("hi") + end("pause_turn", 1), "", 0},
		"no reason":              {wire.Open + text("hi") + event("message_stop", `{"type":"message_stop"}`), "", 0},
		"no mark":                {wire.Open + text("hi") + strings.SplitAfter(end("end_turn", 1), "\n\n")[0], "", 0},
		"tools without a name":   {wire.Open + end("tool_use", 1), "", 0},
		"cut arguments":          {wire.Open + tool + end("max_tokens", 1), "", 0},
		"arguments of no tool":   {wire.Open + toolInput("{}") + end("tool_use", 1), "", 0},
		"overloaded midway":      {wire.Open + failure("overloaded_error", "Overloaded"), "", 529},
		"rate limit midway":      {wire.Open + failure("rate_limit_error", "slow"), "", 429},
		"unknown error":          {wire.Open + failure("gremlins", "x"), "", 200},
		"error that is no JSON":  {wire.Open + event("error", `boo`), "", 200},
		"text for an event":      {wire.Open + event("content_block_delta", `"boo"`), "", 0},
		"an event of many lines": {strings.Replace(wire.Open+text("hi")+end("end_turn", 1), `"type":"text_delta",`, "\"type\":\"text_delta\",\ndata: ", 1), llm.FinishStop, 0},
	} {
		m, _ := adapter.Open(t, remotetest.Events(tc.stream))
		resp, err := llm.Collect(t.Context(), m, remotetest.Hello)
		if resp.FinishReason != tc.reason || (tc.reason == "") != errors.Is(err, llm.ErrIncomplete) {
			t.Errorf("%s: %+v, error %v; want %q", name, resp, err, tc.reason)
		}
		var said *remote.StatusError
		if errors.As(err, &said); (tc.status != 0) != (said != nil) || said != nil && said.Status != tc.status {
			t.Errorf("%s: error %v, want status %d", name, err, tc.status)
		}
	}
}

func TestNew_takesNothingFromTheEnvironment(t *testing.T) {
	t.Setenv("ANTHROPIC_API_KEY", "another-key")
	t.Setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
	t.Setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Leak: 1")
	f := &remotetest.Fake{Wire: wire}
	opts := f.Start(t)
	opts.Key = nil
	m, err := adapter.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := llm.Collect(t.Context(), m, remotetest.Hello); err != nil || len(f.Keys()) != 1 || f.Keys()[0] != "" {
		t.Errorf("keys %q, error %v; want one call without a key", f.Keys(), err)
	}
}

func FuzzGenerate(f *testing.F) {
	f.Add(wire.Open + text("hi") + end("end_turn", 1))
	f.Add(failure("api_error", "x"))
	f.Add(wire.Open + wire.Call(llm.ToolCall{ID: "a", Name: "f", Arguments: []byte(`{}`)}) + end("tool_use", 1))
	f.Fuzz(func(t *testing.T, stream string) {
		m, _ := adapter.Open(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, stream) })
		if _, err := llm.Collect(t.Context(), m, remotetest.Hello); err != nil {
			remotetest.CheckText(t, err)
		}
	})
}
