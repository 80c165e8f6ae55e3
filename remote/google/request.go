package google

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	api "google.golang.org/genai"

	"retort/llm"
)

// request returns req in the service's format and names what it does not take.
func (m *Model) request(req llm.Request) ([]*api.Content, *api.GenerateContentConfig, []string, error) {
	s, warnings := m.e.Sampling(req.Sampling)
	config := &api.GenerateContentConfig{MaxOutputTokens: int32(min(s.MaxOutputTokens, 1<<30)), StopSequences: s.Stop,
		AutomaticContinuation: new(false)} // it would ask again unasked
	if s.Temperature != nil {
		config.Temperature = new(float32(*s.Temperature))
	}
	if s.TopP != nil {
		config.TopP = new(float32(*s.TopP))
	}
	if s.TopK != nil {
		config.TopK = new(float32(*s.TopK))
	}
	if s.Seed != nil {
		config.Seed = new(int32(*s.Seed)) // equal seeds stay equal, which is all they promise
	}
	if s.MinP != nil {
		warnings = append(warnings, "min_p: the service takes none")
	}
	if req.Logprobs > 0 {
		warnings = append(warnings, "logprobs: the service gives none")
	}
	if len(req.Tools) > 0 {
		config.Tools = []*api.Tool{{FunctionDeclarations: functions(req.Tools)}}
	}
	if f := req.Format; f != nil {
		if f.Grammar != "" {
			return nil, nil, nil, fmt.Errorf("format: a grammar: %w", llm.ErrUnsupported)
		}
		config.ResponseMIMEType, config.ResponseJsonSchema = "application/json", f.JSONSchema
	}
	contents, system, moved := contents(req.Messages)
	if moved {
		warnings = append(warnings, "system: instructions within the conversation were put before it")
	}
	config.SystemInstruction = system
	return contents, config, warnings, nil
}

func functions(tools []llm.Tool) (out []*api.FunctionDeclaration) {
	for _, t := range tools {
		f := &api.FunctionDeclaration{Name: t.Name, Description: t.Description}
		if len(t.Parameters) > 0 {
			f.ParametersJsonSchema = t.Parameters
		}
		out = append(out, f)
	}
	return out
}

// contents parts the standing instructions from the conversation. moved says that
// some came after its beginning, for which the format has no place.
func contents(in []llm.Message) (out []*api.Content, system *api.Content, moved bool) {
	names := map[string]string{} // of tools, by the call's ID
	for _, m := range in {
		switch m.Role {
		case llm.RoleSystem:
			if system == nil {
				system = &api.Content{}
			}
			system.Parts = append(system.Parts, &api.Part{Text: m.Content})
			moved = moved || len(out) > 0
		case llm.RoleAssistant:
			for _, call := range m.ToolCalls {
				names[call.ID] = call.Name
			}
			out = append(out, &api.Content{Role: api.RoleModel, Parts: parts(m)})
		case llm.RoleTool:
			id, _ := splitID(m.ToolCallID)
			out = append(out, &api.Content{Role: api.RoleUser, Parts: []*api.Part{{FunctionResponse: &api.FunctionResponse{
				ID: id, Name: names[m.ToolCallID], Response: result(m.Content)}}}})
		default:
			out = append(out, &api.Content{Role: api.RoleUser, Parts: parts(m)})
		}
	}
	return out, system, moved
}

func parts(m llm.Message) (out []*api.Part) {
	for _, img := range m.Images {
		out = append(out, &api.Part{InlineData: &api.Blob{MIMEType: img.MediaType, Data: img.Data}})
	}
	if m.Content != "" || len(m.Images)+len(m.ToolCalls) == 0 {
		out = append(out, &api.Part{Text: m.Content})
	}
	for _, call := range m.ToolCalls {
		var args map[string]any
		_ = json.Unmarshal(call.Arguments, &args) // no object: the function gets none
		id, signature := splitID(call.ID)
		out = append(out, &api.Part{FunctionCall: &api.FunctionCall{ID: id, Name: call.Name, Args: args}, ThoughtSignature: signature})
	}
	return out
}

// result is what a tool said, as the object that the service wants.
func result(content string) map[string]any {
	var object map[string]any
	if json.Unmarshal([]byte(content), &object) == nil && object != nil {
		return object
	}
	return map[string]any{"output": content}
}

// joinID hides a call's signature in its ID. Thinking models want it back with the
// tool's result, and the conversation has no other place for it.
func joinID(id string, signature []byte) string {
	if len(signature) == 0 {
		return id
	}
	return id + "~" + base64.RawURLEncoding.EncodeToString(signature)
}

func splitID(joined string) (id string, signature []byte) {
	id, rest, found := strings.Cut(joined, "~")
	if !found {
		return joined, nil
	}
	signature, err := base64.RawURLEncoding.DecodeString(rest)
	if err != nil {
		return joined, nil
	}
	if strings.HasPrefix(id, ownID) {
		id = ""
	}
	return id, signature
}
