package llamacpp

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ardanlabs/jinja"

	"retort/llm"
)

// callForm is how the models of a template family write that they call a tool.
type callForm string

const (
	noCalls      callForm = ""
	hermesCalls  callForm = "<tool_call>"    // <tool_call>{"name":...,"arguments":{...}}</tool_call>, once for each call
	mistralCalls callForm = "[TOOL_CALLS]"   // [TOOL_CALLS][{"name":...,"arguments":{...}}, ...]
	llamaCalls   callForm = "<|python_tag|>" // the whole answer is {"name":...,"parameters":{...}}; several are parted by ;
)

const hermesEnd = "</tool_call>"

var toolsVariable = regexp.MustCompile(`\{[%{][^}]*\btools\b`)

// callFormOf finds the form by the marks that the template itself writes where
// it shows earlier calls. A template that does not mention tools has none, and
// neither has one of a family that is not known: its calls would pass as text.
func callFormOf(source string) callForm {
	has := func(s string) bool { return strings.Contains(source, s) }
	switch {
	case !toolsVariable.MatchString(source):
		return noCalls
	case has(string(hermesCalls)) && !has("<function=") && !has("<arg_key>"): // else it holds no JSON
		return hermesCalls
	case has(string(mistralCalls)) && !has("[ARGS]"):
		return mistralCalls
	case has(`"parameters": `) && (has(string(llamaCalls)) || has("ipython")):
		return llamaCalls
	}
	return noCalls
}

// toolValues returns tools as templates expect them, in the OpenAI form.
func toolValues(tools []llm.Tool) (jinja.Value, int, error) {
	if len(tools) == 0 {
		return jinja.None(), 0, nil
	}
	size := 0
	var list []jinja.Value
	for _, t := range tools {
		parameters := t.Parameters
		if len(parameters) == 0 {
			parameters = []byte(`{"type":"object","properties":{}}`)
		}
		n, err := parseNode(parameters)
		if err != nil {
			return jinja.None(), 0, fmt.Errorf("%w: parameters of the tool %q: %w", llm.ErrBadRequest, t.Name, err)
		}
		size += len(t.Name) + len(t.Description) + len(parameters)
		list = append(list, dict("type", jinja.NewString("function"), "function", dict(
			"name", jinja.NewString(t.Name), "description", jinja.NewString(t.Description), "parameters", n.jinjaValue())))
	}
	return jinja.NewList(list), size, nil
}

// dict makes a dictionary of names and jinja values in turn.
func dict(pairs ...any) jinja.Value {
	d := jinja.NewDict()
	for i := 0; i < len(pairs); i += 2 {
		d.AsDict().Set(pairs[i].(string), pairs[i+1].(jinja.Value))
	}
	return d
}

// messageValues returns messages as templates expect them. A tool's message
// bears the name of the function that it answers.
func messageValues(messages []llm.Message) (jinja.Value, int, error) {
	list := make([]jinja.Value, len(messages))
	size := 0
	names := make(map[string]string) // of calls, by their ID
	for i, m := range messages {
		d := dict("role", jinja.NewString(string(m.Role)), "content", jinja.NewString(m.Content))
		size += len(m.Content)
		if m.ToolCallID != "" {
			d.AsDict().Set("tool_call_id", jinja.NewString(m.ToolCallID))
			d.AsDict().Set("name", jinja.NewString(names[m.ToolCallID]))
		}
		var calls []jinja.Value
		for _, c := range m.ToolCalls {
			n, err := parseNode(c.Arguments)
			if err != nil || n.kind != '{' {
				return jinja.None(), 0, fmt.Errorf("%w: message %d: arguments of %q are no JSON object", llm.ErrBadRequest, i, c.Name)
			}
			names[c.ID] = c.Name
			size += len(c.Name) + len(c.Arguments)
			calls = append(calls, dict("id", jinja.NewString(c.ID), "type", jinja.NewString("function"),
				"function", dict("name", jinja.NewString(c.Name), "arguments", n.jinjaValue())))
		}
		if calls != nil {
			d.AsDict().Set("tool_calls", jinja.NewList(calls))
		}
		list[i] = d
	}
	return jinja.NewList(list), size, nil
}

// markWords shows the marks of calls as text, also where the vocabulary has
// them as control tokens, which have none.
type markWords struct {
	words
	marks map[int32]string
}

func (w markWords) piece(token int32) string {
	if s, ok := w.marks[token]; ok {
		return s
	}
	return w.words.piece(token)
}

// callWords returns the vocabulary for an answer that may call tools.
func (m *Model) callWords() (words, error) {
	w := markWords{m.words, make(map[int32]string)}
	for _, mark := range []string{string(m.template.calls), hermesEnd} {
		ids, err := m.tokens(mark)
		if err != nil {
			return nil, err
		}
		if len(ids) != 1 {
			continue
		}
		switch end, err := m.firstEnd(ids); {
		case err != nil:
			return nil, err
		case end < 0:
			w.marks[ids[0]] = mark
		}
	}
	return w, nil
}

// checkTools refuses what an answer with tools cannot have besides.
func checkTools(req llm.Request) error {
	if len(req.Tools) > 0 && req.Format != nil && req.Format.Grammar == "" {
		return fmt.Errorf("a JSON schema beside tools: %w", llm.ErrUnsupported)
	}
	for i, t := range req.Tools {
		if slices.ContainsFunc(req.Tools[:i], func(o llm.Tool) bool { return o.Name == t.Name }) {
			return fmt.Errorf("%w: tool %q is there twice", llm.ErrBadRequest, t.Name)
		}
	}
	return nil
}
