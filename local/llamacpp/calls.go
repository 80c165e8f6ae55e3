package llamacpp

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"retort/llm"
)

// callGate lets the text of an answer through until a tool call begins, and
// keeps what follows to be read as calls at the end. A call is never shown in
// part, neither as text nor as a ToolCall.
//
// Where the form has a mark that nothing but a call begins with, an answer that
// bears the mark and is not wholly made of calls behind it is incomplete. The
// form of Llama has none: there, an answer that is no call is text.
type callGate struct {
	form  callForm
	tools []llm.Tool
	held  string // may yet turn out to begin a call
	raw   string // the calls, from the mark on
	begun bool   // the mark was there
	plain bool   // of Llama: the answer does not begin like a call
}

// add returns the text that may be shown now.
func (g *callGate) add(text string) string {
	if g.begun {
		g.raw += text
		return ""
	}
	g.held += text
	if g.form == llamaCalls {
		return g.addLlama()
	}
	if i := strings.Index(g.held, string(g.form)); i >= 0 {
		return g.begin(i)
	}
	mark := stopGate{stops: []string{string(g.form)}, held: g.held}
	return g.release(len(g.held) - mark.partial())
}

func (g *callGate) addLlama() string {
	start := strings.TrimLeft(g.held, " \t\r\n")
	switch mark := string(llamaCalls); {
	case g.plain:
		return g.release(len(g.held))
	case strings.HasPrefix(start, "{") || strings.HasPrefix(start, mark):
		return g.begin(0)
	case strings.HasPrefix(mark, start): // so does nothing at all
		return ""
	}
	g.plain = true
	return g.release(len(g.held))
}

func (g *callGate) begin(i int) string {
	show := g.held[:i]
	g.raw, g.held, g.begun = g.held[i:], "", true
	return show
}

func (g *callGate) release(n int) string {
	show := g.held[:n]
	g.held = g.held[n:]
	return show
}

// rest returns what was held back and is no call, once no more text comes.
func (g *callGate) rest() string { return g.release(len(g.held)) }

// calls returns the calls of the answer; with none, text is what is still to be
// shown of it. cut tells that the output limit ended the answer.
func (g *callGate) calls(cut bool) (calls []llm.ToolCall, text string, err error) {
	if !g.begun {
		return nil, "", nil
	}
	switch g.form {
	case hermesCalls:
		calls, err = readHermes(g.raw)
	case mistralCalls:
		calls, err = readMistral(g.raw)
	default:
		calls, err = readLlama(g.raw)
	}
	for _, c := range calls {
		if err == nil && !slices.ContainsFunc(g.tools, func(t llm.Tool) bool { return t.Name == c.Name }) {
			err = fmt.Errorf("there is no tool %.60q", c.Name)
		}
	}
	switch {
	case err == nil:
		return calls, "", nil
	case g.form == llamaCalls && !strings.Contains(g.raw, string(llamaCalls)) && !(cut && beginsCall(g.raw)):
		return nil, g.raw, nil
	case cut:
		return nil, "", fmt.Errorf("%w: the output limit cut a tool call", llm.ErrIncomplete)
	}
	return nil, "", fmt.Errorf("%w: malformed tool call: %w", llm.ErrIncomplete, err)
}

// beginsCall reports whether an object begins as a call of Llama's does.
func beginsCall(raw string) bool {
	return strings.HasPrefix(strings.Join(strings.Fields(raw), ""), `{"name":`)
}

func readHermes(raw string) ([]llm.ToolCall, error) {
	var calls []llm.ToolCall
	for raw = strings.TrimSpace(raw); raw != ""; raw = strings.TrimSpace(raw) {
		body, found := strings.CutPrefix(raw, string(hermesCalls))
		if !found {
			return nil, errors.New("text between calls")
		}
		body, raw, found = strings.Cut(body, hermesEnd)
		if !found {
			return nil, errors.New("it is not closed")
		}
		call, err := readCall([]byte(body), "arguments")
		if err != nil {
			return nil, err
		}
		calls = append(calls, call)
	}
	return calls, nil
}

func readMistral(raw string) ([]llm.ToolCall, error) {
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(strings.TrimPrefix(raw, string(mistralCalls))), &list); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("an empty list")
	}
	var calls []llm.ToolCall
	for _, item := range list {
		call, err := readCall(item, "arguments")
		if err != nil {
			return nil, err
		}
		calls = append(calls, call)
	}
	return calls, nil
}

func readLlama(raw string) ([]llm.ToolCall, error) {
	raw = strings.TrimPrefix(strings.TrimSpace(raw), string(llamaCalls))
	d := json.NewDecoder(strings.NewReader(raw))
	var calls []llm.ToolCall
	for {
		var item json.RawMessage
		if err := d.Decode(&item); err != nil {
			return nil, err
		}
		call, err := readCall(item, "parameters")
		if err != nil {
			return nil, err
		}
		calls = append(calls, call)
		raw = strings.TrimSpace(raw[d.InputOffset():])
		if raw == "" {
			return calls, nil
		}
		after, found := strings.CutPrefix(raw, ";")
		if !found {
			return nil, errors.New("text behind a call")
		}
		raw = after
		d = json.NewDecoder(strings.NewReader(raw))
	}
}

// readCall reads one call: a name, and an object under the key arguments.
// Mistral's bear an ID besides, and Llama's may bear a type.
func readCall(data []byte, arguments string) (llm.ToolCall, error) {
	n, err := parseNode(data)
	if err != nil {
		return llm.ToolCall{}, err
	}
	name, args := n.get("name"), n.get(arguments)
	if name == nil || name.kind != '"' || name.text == "" || args == nil || args.kind != '{' {
		return llm.ToolCall{}, fmt.Errorf("want a name and %s, an object", arguments)
	}
	for _, m := range n.members {
		if !slices.Contains([]string{"name", arguments, "id", "type"}, m.name) {
			return llm.ToolCall{}, fmt.Errorf("unknown member %.60q", m.name)
		}
	}
	return llm.ToolCall{ID: newCallID(), Name: name.text, Arguments: json.RawMessage(args.json())}, nil
}

// newCallID returns nine letters and digits: templates of Mistral's refuse any
// other length.
func newCallID() string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	id := make([]byte, 9)
	for i := range id {
		id[i] = letters[rand.IntN(len(letters))]
	}
	return string(id)
}
