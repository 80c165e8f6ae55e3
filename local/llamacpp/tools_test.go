package llamacpp

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"retort/llm"
	"retort/models/gguf/gguftest"
)

// TestGenerate_callsTools forces a model that knows nothing to call a tool.
func TestGenerate_callsTools(t *testing.T) {
	source, err := os.ReadFile("testdata/tools/hermes.jinja")
	if err != nil {
		t.Fatal(err)
	}
	m := openTiny(t, letterModel(t), Options{Template: string(source)})
	if !m.Describe().Tools {
		t.Fatal("a template with tools is not described so")
	}
	req := llm.Request{Messages: weatherTalk, Tools: []llm.Tool{weatherTool}, Format: &llm.Format{Grammar: `
		root ::= "Wait. <tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"" [A-Z]{3,8} "\"}}</tool_call>"`}}
	check := func(resp llm.Response) {
		t.Helper()
		if resp.Text != "Wait. " || resp.FinishReason != llm.FinishToolCalls || len(resp.ToolCalls) != 1 {
			t.Fatalf("answer %+v, want a text and a call", resp)
		}
		var args struct{ City string }
		call := resp.ToolCalls[0]
		if err := json.Unmarshal(call.Arguments, &args); err != nil || call.Name != "weather" || len(args.City) < 3 {
			t.Errorf("call %+v, %v", call, err)
		}
	}
	check(collect(t, m, req))
	all, err := llm.CollectN(t.Context(), m, req, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, resp := range all {
		check(resp)
	}
	talk := append(weatherTalk, llm.Message{Role: llm.RoleAssistant, ToolCalls: all[0].ToolCalls},
		llm.Message{Role: llm.RoleTool, Content: "4", ToolCallID: all[0].ToolCalls[0].ID})
	if resp := collect(t, m, llm.Request{Messages: talk, Tools: req.Tools, Format: &llm.Format{Grammar: `root ::= "4"`}}); resp.Text != "4" {
		t.Errorf("after the tool's answer: %+v", resp)
	}
	req.Sampling.MaxOutputTokens = 40
	if _, err := llm.Collect(t.Context(), m, req); !errors.Is(err, llm.ErrIncomplete) {
		t.Errorf("half a call: %v, want ErrIncomplete", err)
	}
	req.Sampling.MaxOutputTokens = 0
	req.Format = &llm.Format{JSONSchema: []byte(`{}`)}
	if _, err := llm.Collect(t.Context(), m, req); !errors.Is(err, llm.ErrUnsupported) {
		t.Errorf("a schema beside tools: %v, want ErrUnsupported", err)
	}
}

// letterModel is a tiny model whose answers are of printable characters.
func letterModel(t *testing.T) string {
	t.Helper()
	f := gguftest.File{Meta: tinyMeta("llama"), Tensors: tinyTensors("llama")}
	tokens := at(f.Meta, "tokenizer.ggml.tokens").([]string)
	tokens[3+' '] = "\u2581" // which stands for a blank
	for c := '!'; c <= '~'; c++ {
		tokens[3+c] = string(c)
	}
	return f.Write(t, "letters.gguf")
}

func TestModel_refusesWhatItCannotHonour(t *testing.T) {
	m := sharedModel(t, smol)
	image := []llm.Message{{Role: llm.RoleUser, Content: "What is it?", Images: []llm.Image{{MediaType: "image/png", Data: []byte("x")}}}}
	for name, tc := range map[string]struct {
		req  llm.Request
		want string
	}{
		"images":        {llm.Request{Messages: image}, "libmtmd"},
		"tools":         {llm.Request{Messages: weatherTalk[1:2], Tools: []llm.Tool{weatherTool}}, "tools"},
		"a tool's turn": {llm.Request{Messages: weatherTalk}, "tool calls"},
	} {
		_, err := llm.Collect(t.Context(), m, tc.req)
		if !errors.Is(err, llm.ErrUnsupported) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want ErrUnsupported that names %s", name, err, tc.want)
		}
		if _, err := m.Score(t.Context(), tc.req, []string{"a"}); !errors.Is(err, llm.ErrUnsupported) {
			t.Errorf("%s, scored: error %v, want ErrUnsupported", name, err)
		}
		if len(tc.req.Tools) == 0 {
			if _, err := m.Tokenize(tc.req.Messages, "a"); !errors.Is(err, llm.ErrUnsupported) {
				t.Errorf("%s, tokenized: error %v, want ErrUnsupported", name, err)
			}
		}
	}
}
