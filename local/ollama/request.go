package ollama

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/ollama/ollama/api"

	"retort/llm"
)

// maxLogprobs is how many alternatives the server gives at most.
const maxLogprobs = 20

func (c *Client) chatRequest(name string, req llm.Request, modelStop []string) (*api.ChatRequest, error) {
	messages, err := wireMessages(req.Messages)
	if err != nil {
		return nil, err
	}
	tools, err := wireTools(req.Tools)
	if err != nil {
		return nil, err
	}
	format, err := wireFormat(req.Format)
	if err != nil {
		return nil, err
	}
	return &api.ChatRequest{
		Model:     name,
		Messages:  messages,
		Tools:     tools,
		Format:    format,
		Options:   options(req.Sampling, modelStop),
		KeepAlive: c.keepAlive,
		// Left to itself the server drops the oldest messages of a prompt that is
		// too long, and forgets the start of an answer that is.
		Truncate:    new(false),
		Shift:       new(false),
		Logprobs:    req.Logprobs > 0,
		TopLogprobs: min(req.Logprobs, maxLogprobs),
	}, nil
}

// wireMessages names for each tool's result the tool, which the server's
// templates show and our messages leave to the call.
func wireMessages(in []llm.Message) ([]api.Message, error) {
	called := map[string]string{} // tool by call ID
	out := make([]api.Message, len(in))
	for i, m := range in {
		w := api.Message{Role: string(m.Role), Content: m.Content, ToolCallID: m.ToolCallID, ToolName: called[m.ToolCallID]}
		for _, img := range m.Images {
			w.Images = append(w.Images, api.ImageData(img.Data))
		}
		for j, call := range m.ToolCalls {
			called[call.ID] = call.Name
			wire := api.ToolCall{ID: call.ID, Function: api.ToolCallFunction{Index: j, Name: call.Name}}
			if err := wire.Function.Arguments.UnmarshalJSON(orEmptyObject(call.Arguments)); err != nil {
				return nil, fmt.Errorf("%w: message %d: arguments of %q: %w", llm.ErrBadRequest, i, call.Name, err)
			}
			w.ToolCalls = append(w.ToolCalls, wire)
		}
		out[i] = w
	}
	return out, nil
}

func wireTools(in []llm.Tool) (api.Tools, error) {
	var out api.Tools
	for _, t := range in {
		f := api.ToolFunction{Name: t.Name, Description: t.Description,
			Parameters: api.ToolFunctionParameters{Type: "object", Properties: api.NewToolPropertiesMap()}}
		if len(t.Parameters) > 0 {
			if err := json.Unmarshal(t.Parameters, &f.Parameters); err != nil {
				return nil, fmt.Errorf("%w: parameters of tool %q: %w", llm.ErrBadRequest, t.Name, err)
			}
		}
		out = append(out, api.Tool{Type: "function", Function: f})
	}
	return out, nil
}

// wireFormat refuses what the server has no word for. It takes JSON schemas that
// are objects; of others it ignores some and fails on the rest.
func wireFormat(f *llm.Format) (json.RawMessage, error) {
	switch {
	case f == nil:
		return nil, nil
	case f.Grammar != "":
		return nil, fmt.Errorf("format: grammar: %w", llm.ErrUnsupported)
	case !bytes.HasPrefix(bytes.TrimSpace(f.JSONSchema), []byte("{")):
		return nil, fmt.Errorf("format: a JSON schema that is no object: %w", llm.ErrUnsupported)
	}
	return f.JSONSchema, nil
}

func orEmptyObject(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}

// options names every sampling parameter as the server does. The output limit is
// num_predict (num_ctx would resize the context and reload the model).
func options(s llm.Sampling, modelStop []string) map[string]any {
	o := map[string]any{"num_predict": -1}
	if s.MaxOutputTokens > 0 {
		o["num_predict"] = s.MaxOutputTokens
	}
	if s.Temperature != nil {
		o["temperature"] = *s.Temperature
		// The default of 1.1 bends the distribution: with it, temperature 0 is not
		// greedy and 1 is not the model's own.
		o["repeat_penalty"] = 1.0
	}
	if s.TopP != nil {
		o["top_p"] = *s.TopP
	}
	if s.TopK != nil {
		o["top_k"] = *s.TopK
	}
	if s.MinP != nil {
		o["min_p"] = *s.MinP
	}
	if s.Seed != nil {
		// The server keeps 32 bits, and takes -1 as leave to choose a seed.
		o["seed"] = *s.Seed & (1<<31 - 1)
	}
	if len(s.Stop) > 0 {
		// The list replaces the model's own, without which it may not end its turn.
		o["stop"] = append(append([]string{}, s.Stop...), modelStop...)
	}
	return o
}
