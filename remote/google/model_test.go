package google_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/remote"
	"retort/remote/google"
	"retort/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire is the Gemini API's format: whole chunks, the reason in the last one.
var wire = remotetest.Wire{
	Path:  "/v1beta/models/tiny-1:streamGenerateContent",
	Key:   func(h http.Header) string { return h.Get("X-Goog-Api-Key") },
	Parse: parse,
	Open:  remotetest.Data(`{"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3},"modelVersion":"tiny-1","responseId":"r1"}`),
	Text:  func(s string) string { return remotetest.Data(part(`{"text":` + quote(s) + `}`)) },
	Call: func(c llm.ToolCall) string {
		return remotetest.Data(part(fmt.Sprintf(`{"functionCall":{"id":%q,"name":%q,"args":%s}}`, c.ID, c.Name, c.Arguments)))
	},
	Close: func(reason llm.FinishReason, u llm.Usage) string {
		words := map[llm.FinishReason]string{llm.FinishStop: "STOP", llm.FinishLength: "MAX_TOKENS", llm.FinishToolCalls: "STOP"}
		return remotetest.Data(finish(words[reason], u.InputTokens, u.OutputTokens))
	},
	Failure: func(message string) string {
		return remotetest.Data(fmt.Sprintf(`{"error":{"code":503,"message":%q,"status":"UNAVAILABLE"}}`, message))
	},
	Refusal: func(status int, message string) string {
		return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":"SOME_STATUS"}}`, status, message)
	},
}

var adapter = remotetest.Adapter{Wire: wire, New: func(o remote.Options) (llm.Model, error) { return google.New(o) }}

func part(p string) string {
	return `{"candidates":[{"content":{"parts":[` + p + `],"role":"model"},"index":0}],"modelVersion":"tiny-1"}`
}

func finish(reason string, in, out int) string {
	return fmt.Sprintf(`{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":%q,"index":0}],`+
		`"usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":%d,"totalTokenCount":%d}}`, reason, in, out, in+out)
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
	Contents []struct {
		Role  string
		Parts []struct {
			Text       string
			InlineData *struct {
				MimeType string
				Data     []byte
			}
		}
	}
	GenerationConfig struct {
		MaxOutputTokens    int
		StopSequences      []string
		ResponseMimeType   string
		ResponseJsonSchema json.RawMessage
	}
	Tools []struct {
		FunctionDeclarations []struct {
			Name                 string
			ParametersJsonSchema json.RawMessage
		}
	}
}

func parse(raw []byte) (llm.Request, error) {
	var in wireRequest
	if err := json.Unmarshal(raw, &in); err != nil {
		return llm.Request{}, err
	}
	g := in.GenerationConfig
	req := llm.Request{Sampling: llm.Sampling{MaxOutputTokens: g.MaxOutputTokens, Stop: g.StopSequences}}
	for _, c := range in.Contents {
		msg := llm.Message{Role: map[string]llm.Role{"user": llm.RoleUser, "model": llm.RoleAssistant}[c.Role]}
		for _, p := range c.Parts {
			msg.Content += p.Text
			if p.InlineData != nil {
				msg.Images = append(msg.Images, llm.Image{MediaType: p.InlineData.MimeType, Data: p.InlineData.Data})
			}
		}
		req.Messages = append(req.Messages, msg)
	}
	for _, t := range in.Tools {
		for _, f := range t.FunctionDeclarations {
			req.Tools = append(req.Tools, llm.Tool{Name: f.Name, Parameters: f.ParametersJsonSchema})
		}
	}
	if len(g.ResponseJsonSchema) > 0 {
		if g.ResponseMimeType != "application/json" {
			return req, fmt.Errorf("responseMimeType %q", g.ResponseMimeType)
		}
		req.Format = &llm.Format{JSONSchema: g.ResponseJsonSchema}
	}
	return req, nil
}

func ExampleNew() {
	model, err := google.New(remote.Options{Key: func() string { return os.Getenv("GOOGLE_API_KEY") }, Model: "gemini-2.5-flash"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(model.ID())
	// Output: google/gemini-2.5-flash
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
			{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{ID: "t1~c2ln", Name: "look", Arguments: []byte(`{"x":1}`)}, {ID: "call_1~c2ln", Name: "see"}}},
			{Role: llm.RoleTool, ToolCallID: "t1~c2ln", Content: "a dot"}, {Role: llm.RoleTool, ToolCallID: "call_1~c2ln", Content: `{"y":2}`}, llm.System("in French")},
		Sampling: llm.Sampling{Temperature: new(0.0), TopP: new(0.5), TopK: new(7), MinP: new(0.1), Seed: new(int64(-1)), Stop: []string{"END"}, MaxOutputTokens: 9},
		Logprobs: 3,
	}
	resp, err := llm.Collect(t.Context(), m, req)
	if err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	want := object{
		"systemInstruction": object{"role": "user", "parts": []any{object{"text": "be brief"}, object{"text": "in French"}}},
		"contents": []any{
			object{"role": "user", "parts": []any{object{"inlineData": object{"mimeType": "image/png", "data": "ZG90"}}, object{"text": "what?"}}},
			object{"role": "model", "parts": []any{
				object{"functionCall": object{"id": "t1", "name": "look", "args": object{"x": 1.0}}, "thoughtSignature": "c2ln"},
				object{"functionCall": object{"name": "see"}, "thoughtSignature": "c2ln"}}},
			object{"role": "user", "parts": []any{object{"functionResponse": object{"id": "t1", "name": "look", "response": object{"output": "a dot"}}}}},
			object{"role": "user", "parts": []any{object{"functionResponse": object{"name": "see", "response": object{"y": 2.0}}}}}},
		"generationConfig": object{"temperature": 0.0, "topP": 0.5, "topK": 7.0, "seed": -1.0, "stopSequences": []any{"END"}, "maxOutputTokens": 9.0},
	}
	if diff := cmp.Diff(want, f.Body()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	warnings := []string{"min_p: the service takes none", "logprobs: the service gives none", "system: instructions within the conversation were put before it"}
	if diff := cmp.Diff(warnings, resp.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestGenerate_refusesAGrammar(t *testing.T) {
	m, f := adapter.Open(t, nil)
	_, err := llm.Collect(t.Context(), m, llm.Request{Messages: remotetest.Hello.Messages, Format: &llm.Format{Grammar: `root ::= "a"`}})
	if !errors.Is(err, llm.ErrUnsupported) || f.Body() != nil {
		t.Errorf("error %v, want ErrUnsupported before anything is sent", err)
	}
}

func TestGenerate_readsTheAnswer(t *testing.T) {
	m, _ := adapter.Open(t, remotetest.Events(remotetest.Data(part(`{"text":"hm","thought":true}`), part(`{"text":"a"},{"text":"b"}`),
		part(`{"functionCall":{"name":"f"},"thoughtSignature":"c2ln"}`),
		`{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":85,"candidatesTokenCount":2,"thoughtsTokenCount":10}}`)))
	got, err := llm.Collect(t.Context(), m, remotetest.Hello)
	if err != nil {
		t.Fatal(err)
	}
	if got.Timing.Total < got.Timing.FirstToken || got.Timing.FirstToken <= 0 {
		t.Errorf("timing %+v", got.Timing)
	}
	got.Timing = llm.Timing{}
	want := llm.Response{Text: "ab", FinishReason: llm.FinishToolCalls, Usage: llm.Usage{InputTokens: 100, CachedTokens: 85, OutputTokens: 12},
		ToolCalls: []llm.ToolCall{{ID: "call_0~c2ln", Name: "f", Arguments: []byte(`{}`)}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestGenerate_endings(t *testing.T) {
	text := wire.Text("hi")
	for name, tc := range map[string]struct {
		stream string
		reason llm.FinishReason // empty: ErrIncomplete
		status int
	}{
		"withheld":         {text + remotetest.Data(finish("SAFETY", 1, 1)), llm.FinishContentFilter, 0},
		"question refused": {remotetest.Data(`{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4}}`), llm.FinishContentFilter, 0},
		"broken call":      {text + remotetest.Data(finish("MALFORMED_FUNCTION_CALL", 1, 1)), "", 0},
		"other":            {text + remotetest.Data(finish("OTHER", 1, 1)), "", 0},
		"nameless call":    {remotetest.Data(part(`{"functionCall":{"args":{}}}`)) + remotetest.Data(finish("STOP", 1, 1)), "", 0},
		"error midway":     {text + remotetest.Data(`{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}`), "", 429},
		"error as a body":  {"{\"error\":{\"code\":500,\"message\":\"x\",\"status\":\"INTERNAL\"}}", "", 500},
		"odd code":         {remotetest.Data(`{"error":{"code":7,"message":"x"}}`), "", 200},
		"not an object":    {remotetest.Data(`[1]`), "", 0},
		"null parts":       {remotetest.Data(`{"candidates":[{"content":{"parts":[null]}}]}`, finish("STOP", 1, 1)), llm.FinishStop, 0},
		"null candidate":   {remotetest.Data(`{"candidates":[null]}`, finish("STOP", 1, 1)), "", 0}, // the SDK panics
		"named events":     {"event: message\nid: 1\n" + text + remotetest.Data(finish("STOP", 1, 1)), llm.FinishStop, 0},
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

func TestGenerate_waitsAsGoogleSays(t *testing.T) {
	m, _ := adapter.Open(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(429)
		io.WriteString(w, `{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.Help"},`+
			`{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"21.5s"}]}}`)
	})
	_, err := llm.Collect(t.Context(), m, remotetest.Hello)
	var said *remote.StatusError
	if !errors.As(err, &said) || said.RetryAfter != 21500*time.Millisecond {
		t.Errorf("error %+v, want to wait 21.5 s", err)
	}
}

func TestNew_takesNothingFromTheEnvironment(t *testing.T) {
	t.Setenv("GOOGLE_API_KEY", "another-key")
	t.Setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1")
	t.Setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
	t.Setenv("GOOGLE_CLOUD_PROJECT", "p")
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
	f.Add(wire.Text("hi") + remotetest.Data(finish("STOP", 1, 1)))
	f.Add(wire.Failure("x"))
	f.Add(remotetest.Data(part(`{"functionCall":{"name":"f"}}`), finish("STOP", 1, 1)))
	f.Fuzz(func(t *testing.T, stream string) {
		m, _ := adapter.Open(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, stream) })
		if _, err := llm.Collect(t.Context(), m, remotetest.Hello); err != nil {
			remotetest.CheckText(t, err)
		}
	})
}
