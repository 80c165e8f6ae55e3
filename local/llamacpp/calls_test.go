package llamacpp

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"retort/llm"
)

var weatherTool = llm.Tool{Name: "weather", Description: "The weather <today> in a city.",
	Parameters: []byte(`{"type":"object","properties":{"z":{"type":"string"},"city":{"type":"string","default":1.0}},"required":["city"]}`)}

// weatherTalk has every kind of message there is around a call.
var weatherTalk = []llm.Message{
	llm.System("Be brief."),
	llm.User("How is it in Oslo?"),
	{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{ID: "abcdefghi", Name: "weather", Arguments: []byte(`{"city": "Oslo & <co>"}`)}}},
	{Role: llm.RoleTool, Content: `{"t": 3}`, ToolCallID: "abcdefghi"},
	llm.User("And in Rome?"),
}

func toolTemplate(t testing.TB, family string) *chatTemplate {
	t.Helper()
	source, err := os.ReadFile("testdata/tools/" + family + ".jinja")
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := newTemplate(string(source), "<s>", "</s>")
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

// TestTools_render compares with what testdata/tools's render.py got from the
// library that trains.
func TestTools_render(t *testing.T) {
	data, err := os.ReadFile("testdata/tools/rendered.json")
	if err != nil {
		t.Fatal(err)
	}
	var rendered map[string]string
	if err := json.Unmarshal(data, &rendered); err != nil {
		t.Fatal(err)
	}
	for family, want := range rendered {
		got, err := toolTemplate(t, family).prompt(weatherTalk, weatherTool)
		if err != nil {
			t.Errorf("%s: %v", family, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", family, d)
		}
		if without, err := toolTemplate(t, family).prompt(weatherTalk[1:2]); err != nil || strings.Contains(without, "weather") || !strings.Contains(without, "Oslo") {
			t.Errorf("%s without tools: %q, %v", family, without, err)
		}
	}
}

func TestTools_formOfATemplate(t *testing.T) {
	for source, want := range map[string]callForm{
		"{{ messages }} <tool_call>":                            noCalls, // it does not mention tools
		"{% if tools %}<tool_call>{% endif %}":                  hermesCalls,
		"{% if tools %}<tool_call><function=x>{% endif %}":      noCalls,
		"{% if tools %}<tool_call>f<arg_key>k{% endif %}":       noCalls,
		"{{ tools }}[TOOL_CALLS]":                               mistralCalls,
		"{{ tools }}[TOOL_CALLS]f[ARGS]{}":                      noCalls,
		`{{ tools }}{"name": "parameters": } <|python_tag|>`:    llamaCalls,
		"{{ tools }} in a form that nobody knows":               noCalls,
		"{{ messages }} with tools and <tool_call> in the text": noCalls,
	} {
		if got := callFormOf(source); got != want {
			t.Errorf("%s: form %q, want %q", source, got, want)
		}
	}
	for _, family := range []string{"hermes", "mistral", "llama"} {
		if toolTemplate(t, family).calls == noCalls {
			t.Errorf("%s: no form", family)
		}
	}
	for _, name := range []string{"plain", "chatml"} {
		tmpl, err := newTemplate(name, "", "")
		if err != nil || tmpl.calls != noCalls {
			t.Errorf("%s: form %q, %v", name, tmpl.calls, err)
		}
	}
}

// readAnswer runs an answer, in pieces, through the gate of a form.
func readAnswer(form callForm, pieces []string, cut bool) (string, []llm.ToolCall, error) {
	s := textStream{call: &callGate{form: form, tools: []llm.Tool{{Name: "f"}, {Name: "g"}}}}
	var out strings.Builder
	for _, p := range pieces {
		ev, _ := s.add(p, nil)
		out.WriteString(ev.Delta)
	}
	ev, _ := s.rest()
	out.WriteString(ev.Delta)
	calls, text, err := s.call.calls(cut)
	return out.String() + text, calls, err
}

func TestTools_readCalls(t *testing.T) {
	call := func(name, arguments string) llm.ToolCall {
		return llm.ToolCall{Name: name, Arguments: json.RawMessage(arguments)}
	}
	one := []llm.ToolCall{call("f", `{"a":[1,"<x>"]}`)}
	two := []llm.ToolCall{call("f", `{"a":1.50}`), call("g", `{}`)}
	for _, tc := range []struct {
		form         callForm
		answer, text string
		calls        []llm.ToolCall
		bad          bool
	}{
		{hermesCalls, "no call <tool> <tool_", "no call <tool> <tool_", nil, false},
		{hermesCalls, "I ask.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1, \"<x>\"]}}\n</tool_call>", "I ask.\n", one, false},
		{hermesCalls, `<tool_call>{"name":"f","arguments":{"a":1.50}}</tool_call> <tool_call>{"arguments":{},"name":"g"}</tool_call>` + "\n", "", two, false},
		{hermesCalls, `<tool_call>{"name":"f","arguments":{}}`, "", nil, true},
		{hermesCalls, `<tool_call>{"name":"f"}</tool_call>`, "", nil, true},
		{hermesCalls, `<tool_call>{"name":"f","arguments":"{}"}</tool_call>`, "", nil, true},
		{hermesCalls, `<tool_call>{"name":"f","arguments":{},"name":"g"}</tool_call>`, "", nil, true},
		{hermesCalls, `<tool_call>{"name":"other","arguments":{}}</tool_call>`, "", nil, true},
		{hermesCalls, `<tool_call>{"name":"f","arguments":{}}</tool_call> and so on`, "", nil, true},
		{hermesCalls, `<tool_call>{"name":"f","arguments":{}} x</tool_call>`, "", nil, true},
		{hermesCalls, `a<tool_call></tool_call>`, "a", nil, true},
		{mistralCalls, "no call [TOOL", "no call [TOOL", nil, false},
		{mistralCalls, `[TOOL_CALLS] [{"name": "f", "arguments": {"a": [1, "<x>"]}, "id": "abcdefghi"}]`, "", one, false},
		{mistralCalls, `x[TOOL_CALLS][{"name":"f","arguments":{"a":1.50}},{"name":"g","arguments":{}}]`, "x", two, false},
		{mistralCalls, `[TOOL_CALLS][]`, "", nil, true},
		{mistralCalls, `[TOOL_CALLS][{"name":"f","arguments":{}}] more`, "", nil, true},
		{mistralCalls, `[TOOL_CALLS]{"name":"f","arguments":{}}`, "", nil, true},
		{llamaCalls, "It is {\"name\": 1}", "It is {\"name\": 1}", nil, false},
		{llamaCalls, "\n{\"name\": \"f\", \"parameters\": {\"a\": [1, \"<x>\"]}}", "", one, false},
		{llamaCalls, `<|python_tag|>{"name":"f","parameters":{"a":1.50}}; {"type":"function","name":"g","parameters":{}}`, "", two, false},
		{llamaCalls, ` {"answer": 42}`, ` {"answer": 42}`, nil, false},
		{llamaCalls, `{"name": "other", "parameters": {}}`, `{"name": "other", "parameters": {}}`, nil, false},
		{llamaCalls, `<|python_tag|>print(1)`, "", nil, true},
		{llamaCalls, `<|pyt`, `<|pyt`, nil, false},
		{llamaCalls, ` `, ` `, nil, false},
	} {
		for _, cuts := range [][]byte{{0}, {2, 0, 5}, {7}} {
			text, calls, err := readAnswer(tc.form, chunks(tc.answer, cuts), false)
			if text != tc.text || errors.Is(err, llm.ErrIncomplete) != tc.bad || (err != nil) != tc.bad {
				t.Errorf("%s: text %q, error %v; want %q, bad %v", tc.answer, text, err, tc.text, tc.bad)
			}
			if d := cmp.Diff(tc.calls, calls, cmpopts.IgnoreFields(llm.ToolCall{}, "ID")); d != "" {
				t.Errorf("%s: %s", tc.answer, d)
			}
			for _, c := range calls {
				if len(c.ID) != 9 {
					t.Errorf("%s: ID %q", tc.answer, c.ID)
				}
			}
		}
	}
}

// TestTools_neverHalfACall cuts answers everywhere.
func TestTools_neverHalfACall(t *testing.T) {
	for form, answer := range map[callForm]string{
		hermesCalls:  `ok <tool_call>{"name":"f","arguments":{"a":1}}</tool_call>`,
		mistralCalls: `ok [TOOL_CALLS][{"name":"f","arguments":{"a":1}}]`,
		llamaCalls:   `{"name":"f","parameters":{"a":1}}`,
	} {
		for n := range len(answer) {
			text, calls, err := readAnswer(form, chunks(answer[:n], []byte{3}), true)
			if len(calls) > 0 {
				t.Errorf("%s: calls %v", answer[:n], calls)
			}
			if err == nil && text != answer[:n] {
				t.Errorf("%s: text %q, and the rest is lost", answer[:n], text)
			}
			if err != nil && !errors.Is(err, llm.ErrIncomplete) {
				t.Errorf("%s: error %v, want ErrIncomplete", answer[:n], err)
			}
			if form == llamaCalls && n > len(`{"name":`) && err == nil {
				t.Errorf("%s: a part of a call passed as text", answer[:n])
			}
		}
	}
}

func FuzzCalls(f *testing.F) {
	f.Add(`a <tool_call>{"name":"f","arguments":{}}</tool_call>`, []byte{1})
	f.Add(`[TOOL_CALLS][{"name":"f","arguments":{}}]`, []byte{2})
	f.Add(`{"name":"f","parameters":{}}; {"name":"g","parameters":{"a":[]}}`, []byte{3})
	f.Fuzz(func(t *testing.T, answer string, cuts []byte) {
		for _, form := range []callForm{hermesCalls, mistralCalls, llamaCalls} {
			text, calls, err := readAnswer(form, []string{answer}, false)
			again, callsAgain, errAgain := readAnswer(form, chunks(answer, cuts), false)
			if text != again || len(calls) != len(callsAgain) || (err == nil) != (errAgain == nil) {
				t.Errorf("%q in pieces %v is read differently", answer, cuts)
			}
			for _, c := range calls {
				if !json.Valid(c.Arguments) || c.Name == "" || c.ID == "" {
					t.Errorf("call %+v", c)
				}
			}
		}
	})
}
