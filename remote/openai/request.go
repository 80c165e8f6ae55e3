package openai

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	api "github.com/sashabaranov/go-openai"

	"retort/llm"
)

// request returns req in the format of go-openai, the fields beside it that
// go-openai has no right place for, and what the service does not take.
func (m *Model) request(req llm.Request) (api.ChatCompletionRequest, map[string]any, []string, error) {
	sampling, warnings := m.e.Sampling(req.Sampling)
	extra, more := m.dialect.fields(sampling)
	warnings = append(warnings, more...)
	out := api.ChatCompletionRequest{Model: m.e.Model, Stop: sampling.Stop}
	if m.dialect.usage {
		out.StreamOptions = &api.StreamOptions{IncludeUsage: true}
	}
	if p := sampling.TopP; p != nil {
		out.TopP = float32(*p)
	}
	switch most := m.dialect.logprobs; {
	case req.Logprobs == 0:
	case !m.Describe().Logprobs:
		warnings = append(warnings, "logprobs: the service gives none")
	default:
		out.LogProbs, out.TopLogProbs = true, min(req.Logprobs, most)
		if req.Logprobs > most {
			warnings = append(warnings, fmt.Sprintf("logprobs: %d alternatives instead of %d", most, req.Logprobs))
		}
	}
	for _, msg := range req.Messages {
		out.Messages = append(out.Messages, message(msg))
	}
	for _, t := range req.Tools {
		out.Tools = append(out.Tools, tool(t))
	}
	if f := req.Format; f != nil {
		if f.Grammar != "" {
			return out, nil, nil, fmt.Errorf("format: a grammar: %w", llm.ErrUnsupported)
		}
		out.ResponseFormat = &api.ChatCompletionResponseFormat{Type: api.ChatCompletionResponseFormatTypeJSONSchema,
			JSONSchema: &api.ChatCompletionResponseFormatJSONSchema{Name: "answer", Schema: f.JSONSchema, Strict: true}}
	}
	return out, extra, warnings, nil
}

// fields returns what go-openai's request cannot say, or names otherwise.
func (d dialect) fields(s llm.Sampling) (fields map[string]any, warnings []string) {
	fields = map[string]any{}
	set := func(name, field string, value any) {
		if field == "" {
			warnings = append(warnings, name+": the service takes none")
			return
		}
		fields[field] = value
	}
	if s.Temperature != nil {
		set("temperature", "temperature", *s.Temperature) // go-openai leaves out a zero, which then means 1
	}
	if s.MaxOutputTokens > 0 {
		set("max_output_tokens", d.limit, s.MaxOutputTokens)
	}
	if s.Seed != nil {
		set("seed", d.seed, *s.Seed)
	}
	if s.TopK != nil {
		set("top_k", map[bool]string{true: "top_k"}[d.topK], *s.TopK)
	}
	if s.MinP != nil {
		set("min_p", map[bool]string{true: "min_p"}[d.minP], *s.MinP)
	}
	return fields, warnings
}

func message(m llm.Message) api.ChatCompletionMessage {
	out := api.ChatCompletionMessage{Role: string(m.Role), Content: m.Content, ToolCallID: m.ToolCallID}
	for _, call := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, api.ToolCall{ID: call.ID, Type: api.ToolTypeFunction,
			Function: api.FunctionCall{Name: call.Name, Arguments: string(call.Arguments)}})
	}
	if len(m.Images) == 0 {
		return out
	}
	out.Content = ""
	for _, img := range m.Images {
		url := "data:" + img.MediaType + ";base64," + base64.StdEncoding.EncodeToString(img.Data)
		out.MultiContent = append(out.MultiContent, api.ChatMessagePart{Type: api.ChatMessagePartTypeImageURL,
			ImageURL: &api.ChatMessageImageURL{URL: url}})
	}
	if m.Content != "" {
		out.MultiContent = append(out.MultiContent, api.ChatMessagePart{Type: api.ChatMessagePartTypeText, Text: m.Content})
	}
	return out
}

func tool(t llm.Tool) api.Tool {
	parameters := t.Parameters
	if len(parameters) == 0 {
		parameters = json.RawMessage(`{"type":"object","properties":{}}`)
	}
	return api.Tool{Type: api.ToolTypeFunction,
		Function: &api.FunctionDefinition{Name: t.Name, Description: t.Description, Parameters: parameters}}
}

// amend returns a change of a request's body: extra joins its fields.
func amend(extra map[string]any) func(*http.Request) error {
	return func(req *http.Request) error {
		var body map[string]json.RawMessage
		if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
			return err
		}
		for name, value := range extra {
			raw, err := json.Marshal(value)
			if err != nil {
				return err
			}
			body[name] = raw
		}
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
		return nil
	}
}

// plainErrors puts a space into each record. It keeps go-openai from knowing error
// records, which it would hold back until the next line, and lose if their shape
// is not OpenAI's own.
func plainErrors(line []byte) []byte {
	if bytes.HasPrefix(line, []byte("data:")) {
		return bytes.Replace(line, []byte("{"), []byte("{ "), 1)
	}
	return line
}
