package scrub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"retort/dataset"
	"retort/llm"
)

// Forgotten is what must not be left of some examples. It does not change, and
// may be asked from several goroutines.
type Forgotten struct {
	ids       map[string]bool
	questions map[string]bool // without white space around them
	long      []string        // of the questions those that are also found inside other text
	pieces    [][]byte        // lines of all their texts, also as JSON has them
}

// minPiece is how many runes a text needs to be looked for inside others: shorter
// ones, such as a label, stand in lines that have nothing to do with the example.
const minPiece = 8

// Of is what must not be left of examples. They must have their IDs.
func Of(examples []dataset.Example) *Forgotten {
	f := &Forgotten{ids: map[string]bool{}, questions: map[string]bool{}}
	seen := map[string]bool{}
	for _, ex := range examples {
		f.ids[ex.ID] = true
		f.ask(question(ex.Messages))
		for _, text := range texts(ex) {
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); utf8.RuneCountInString(line) >= minPiece && !seen[line] {
					seen[line] = true
					f.pieces = append(f.pieces, forms(line)...)
				}
			}
		}
	}
	return f
}

func (f *Forgotten) ask(question string) {
	if question == "" || f.questions[question] {
		return
	}
	f.questions[question] = true
	if utf8.RuneCountInString(question) >= minPiece {
		f.long = append(f.long, question)
	}
}

// question is what the user said last.
func question(messages []llm.Message) string {
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Role == llm.RoleUser {
			return strings.TrimSpace(messages[i].Content)
		}
	}
	return ""
}

// texts are those of an example that are its own: standing instructions are not.
func texts(ex dataset.Example) []string {
	out := append([]string{ex.Response}, ex.Rejected...)
	for _, m := range ex.Messages {
		if m.Role != llm.RoleSystem {
			out = append(out, m.Content)
		}
		for _, call := range m.ToolCalls {
			out = append(out, string(call.Arguments))
		}
	}
	for _, c := range ex.Candidates {
		out = append(out, c.Response)
	}
	return out
}

// forms are a line of text as it is, and as JSON has it where that differs: with and
// without HTML's own characters, and in ASCII alone, as Python writes it.
func forms(line string) [][]byte {
	out := [][]byte{[]byte(line)}
	for _, html := range []bool{false, true} {
		var quoted bytes.Buffer
		enc := json.NewEncoder(&quoted)
		enc.SetEscapeHTML(html)
		if err := enc.Encode(line); err != nil { // a string always encodes
			return out
		}
		inner := bytes.Trim(bytes.TrimSpace(quoted.Bytes()), `"`)
		out = append(out, inner, ascii(inner))
	}
	slices.SortFunc(out, bytes.Compare)
	return slices.CompactFunc(out, bytes.Equal)
}

// ascii escapes all else that stands in a string of JSON.
func ascii(text []byte) []byte {
	var out []byte
	for _, r := range string(text) {
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	return out
}

// ID reports whether id is one of the examples'.
func (f *Forgotten) ID(id string) bool { return f.ids[id] }

// Example reports whether these messages and this response are one of the
// examples.
func (f *Forgotten) Example(messages []llm.Message, response string) bool {
	return f.ids[dataset.Identify(dataset.Example{Messages: messages, Response: response}).ID]
}

// Question reports whether text is what one of the examples asks.
func (f *Forgotten) Question(text string) bool { return f.questions[strings.TrimSpace(text)] }

// Text reports whether text, such as a line of a log, holds a whole line of what
// the examples say.
func (f *Forgotten) Text(text []byte) bool {
	for _, piece := range f.pieces {
		if bytes.Contains(text, piece) {
			return true
		}
	}
	return false
}

// JSON reports whether some string in a JSON document is, or holds, what one of
// the examples asks. What is no JSON is searched as it is.
func (f *Forgotten) JSON(doc []byte) bool {
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		return f.within(string(doc))
	}
	return f.value(v)
}

func (f *Forgotten) value(v any) bool {
	switch v := v.(type) {
	case string:
		return f.Question(v) || f.within(v)
	case []any:
		for _, one := range v {
			if f.value(one) {
				return true
			}
		}
	case map[string]any:
		for _, one := range v {
			if f.value(one) {
				return true
			}
		}
	}
	return false
}

func (f *Forgotten) within(text string) bool {
	for _, q := range f.long {
		if strings.Contains(text, q) {
			return true
		}
	}
	return false
}
