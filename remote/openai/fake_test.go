package openai_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/remote"
	"retort/remote/openai"
	"retort/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire is OpenAI's chat format.
var wire = remotetest.Wire{
	Path:  "/chat/completions",
	Key:   func(h http.Header) string { return strings.TrimPrefix(h.Get("Authorization"), "Bearer ") },
	Parse: parse,
	Open:  remotetest.Data(opening),
	Text:  func(s string) string { return remotetest.Data(text(s)) },
	Call: func(c llm.ToolCall) string {
		half := len(c.Arguments) / 2
		return remotetest.Data(
			chunk(fmt.Sprintf(`{"tool_calls":[{"index":0,"id":%q,"type":"function","function":{"name":%q,"arguments":""}}]}`, c.ID, c.Name), "", ""),
			chunk(fmt.Sprintf(`{"tool_calls":[{"index":0,"function":{"arguments":%q}}]}`, c.Arguments[:half]), "", ""),
			chunk(fmt.Sprintf(`{"tool_calls":[{"index":0,"function":{"arguments":%q}}]}`, c.Arguments[half:]), "", ""))
	},
	Close: func(reason llm.FinishReason, u llm.Usage) string {
		return remotetest.Data(finish(string(reason)), usage(u.InputTokens, u.OutputTokens), "[DONE]")
	},
	Failure: func(message string) string { return remotetest.Data(fmt.Sprintf(`{"error":{"message":%q}}`, message)) },
	Refusal: func(_ int, message string) string {
		return fmt.Sprintf(`{"error":{"message":%q,"type":"some_error","param":null,"code":"some_code"}}`, message)
	},
}

var adapter = remotetest.Adapter{Wire: wire, New: func(o remote.Options) (llm.Model, error) { return openai.New(openai.Options{Options: o}) }}

// wireChat is a chat request as the service reads it.
type wireChat struct {
	Messages []struct {
		Role    llm.Role        `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
	MaxTokens      int      `json:"max_tokens"`
	Stop           []string `json:"stop"`
	Logprobs       bool     `json:"logprobs"`
	TopLogprobs    int      `json:"top_logprobs"`
	Tools          []struct{ Function llm.Tool }
	ResponseFormat *struct {
		Type       string
		JSONSchema struct {
			Name   string
			Strict bool
			Schema json.RawMessage
		} `json:"json_schema"`
	} `json:"response_format"`
}

func parse(raw []byte) (llm.Request, error) {
	var in wireChat
	if err := json.Unmarshal(raw, &in); err != nil {
		return llm.Request{}, err
	}
	req := llm.Request{Sampling: llm.Sampling{MaxOutputTokens: in.MaxTokens, Stop: in.Stop}, Logprobs: in.TopLogprobs}
	for _, m := range in.Messages {
		msg := llm.Message{Role: m.Role}
		if len(m.Content) > 0 && json.Unmarshal(m.Content, &msg.Content) != nil {
			var parts []struct {
				Type, Text string
				ImageURL   struct{ URL string } `json:"image_url"`
			}
			if err := json.Unmarshal(m.Content, &parts); err != nil {
				return req, err
			}
			for _, p := range parts {
				msg.Content += p.Text
				if p.Type == "image_url" {
					_, data, _ := strings.Cut(p.ImageURL.URL, "data:image/png;base64,")
					pixels, err := base64.StdEncoding.DecodeString(data)
					if err != nil || len(pixels) == 0 {
						return req, fmt.Errorf("image is not base64: %v", err)
					}
					msg.Images = append(msg.Images, llm.Image{MediaType: "image/png", Data: pixels})
				}
			}
		}
		req.Messages = append(req.Messages, msg)
	}
	for _, t := range in.Tools {
		req.Tools = append(req.Tools, t.Function)
	}
	if f := in.ResponseFormat; f != nil {
		if f.Type != "json_schema" || f.JSONSchema.Name == "" || !f.JSONSchema.Strict {
			return req, fmt.Errorf("response_format %+v", f)
		}
		req.Format = &llm.Format{JSONSchema: f.JSONSchema.Schema}
	}
	return req, nil
}

const head = `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795341600,"model":"tiny-1","system_fingerprint":"fp_1",`

var opening = chunk(`{"role":"assistant","content":"","refusal":null}`, "", "")

func chunk(delta, logprobs, reason string) string {
	if logprobs == "" {
		logprobs = "null"
	}
	if reason = fmt.Sprintf("%q", reason); reason == `""` {
		reason = "null"
	}
	return head + fmt.Sprintf(`"choices":[{"index":0,"delta":%s,"logprobs":%s,"finish_reason":%s}],"usage":null}`, delta, logprobs, reason)
}

func text(s string) string { return chunk(`{"content":`+quote(s)+`}`, "", "") }

func quote(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func finish(reason string) string { return chunk(`{}`, "", reason) }

func usage(in, out int) string {
	return head + fmt.Sprintf(`"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,`+
		`"prompt_tokens_details":{"cached_tokens":1,"audio_tokens":0}}}`, in, out, in+out)
}

// records is a chat that sends records and then closes cleanly.
func records(rs ...string) http.HandlerFunc { return remotetest.Events(remotetest.Data(rs...)) }

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
