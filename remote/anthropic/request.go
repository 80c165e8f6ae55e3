package anthropic

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	api "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"retort/llm"
)

// fallbackOutput is the longest answer of the oldest models: the service wants a
// limit, and refuses one that is too high.
const fallbackOutput = 4096

// params returns req in the service's format and names what it does not take.
func (m *Model) params(req llm.Request) (api.MessageNewParams, []string, error) {
	s, warnings := m.e.Sampling(req.Sampling)
	out := api.MessageNewParams{Model: api.Model(m.e.Model), MaxTokens: int64(s.MaxOutputTokens), StopSequences: s.Stop}
	if out.MaxTokens == 0 {
		if out.MaxTokens = int64(m.e.MaxOutput); out.MaxTokens == 0 {
			out.MaxTokens = fallbackOutput
			warnings = append(warnings, fmt.Sprintf("max_output_tokens: the service wants a limit; %d was taken", fallbackOutput))
		}
	}
	if s.Temperature != nil {
		out.Temperature = api.Float(*s.Temperature)
	}
	if s.TopP != nil {
		out.TopP = api.Float(*s.TopP)
	}
	if s.TopK != nil {
		out.TopK = api.Int(int64(*s.TopK))
	}
	if s.MinP != nil {
		warnings = append(warnings, "min_p: the service takes none")
	}
	if s.Seed != nil {
		warnings = append(warnings, "seed: the service takes none")
	}
	if req.Logprobs > 0 {
		warnings = append(warnings, "logprobs: the service gives none")
	}
	for _, t := range req.Tools {
		out.Tools = append(out.Tools, tool(t))
	}
	if f := req.Format; f != nil {
		if f.Grammar != "" {
			return out, nil, fmt.Errorf("format: a grammar: %w", llm.ErrUnsupported)
		}
		var schema map[string]any
		if err := json.Unmarshal(f.JSONSchema, &schema); err != nil {
			return out, nil, fmt.Errorf("format: %w: the schema is no object", llm.ErrUnsupported)
		}
		out.OutputConfig.Format = api.JSONOutputFormatParam{Schema: schema}
	}
	var moved bool
	out.System, out.Messages, moved = messages(req.Messages)
	if moved {
		warnings = append(warnings, "system: instructions within the conversation were put before it")
	}
	return out, warnings, nil
}

func tool(t llm.Tool) api.ToolUnionParam {
	parameters := t.Parameters
	if len(parameters) == 0 {
		parameters = json.RawMessage(`{"type":"object"}`)
	}
	out := api.ToolParam{Name: t.Name, InputSchema: param.Override[api.ToolInputSchemaParam](parameters)}
	if t.Description != "" {
		out.Description = api.String(t.Description)
	}
	return api.ToolUnionParam{OfTool: &out}
}

// messages parts the standing instructions from the conversation. moved says that
// some came after its beginning, for which the format has no place.
func messages(in []llm.Message) (system []api.TextBlockParam, out []api.MessageParam, moved bool) {
	for _, m := range in {
		switch m.Role {
		case llm.RoleSystem:
			system = append(system, api.TextBlockParam{Text: m.Content})
			moved = moved || len(out) > 0
		case llm.RoleAssistant:
			out = append(out, api.NewAssistantMessage(blocks(m)...))
		case llm.RoleTool:
			out = append(out, api.NewUserMessage(api.NewToolResultBlock(m.ToolCallID, m.Content, false)))
		default:
			out = append(out, api.NewUserMessage(blocks(m)...))
		}
	}
	return system, out, moved
}

func blocks(m llm.Message) (out []api.ContentBlockParamUnion) {
	for _, img := range m.Images {
		out = append(out, api.NewImageBlockBase64(img.MediaType, base64.StdEncoding.EncodeToString(img.Data)))
	}
	if m.Content != "" || len(m.Images)+len(m.ToolCalls) == 0 {
		out = append(out, api.NewTextBlock(m.Content))
	}
	for _, call := range m.ToolCalls {
		out = append(out, api.NewToolUseBlock(call.ID, call.Arguments, call.Name))
	}
	return out
}
