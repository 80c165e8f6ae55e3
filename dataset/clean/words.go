package clean

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"retort/dataset"
	"retort/llm"
)

// words splits text into what is compared: runs of letters and digits in lower
// case, without accents. A letter of a script that puts no spaces is a word.
func words(text string) []string {
	if isASCII(text) {
		return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') })
	}
	var (
		out []string
		b   strings.Builder
	)
	end := func() {
		if b.Len() > 0 {
			out = append(out, b.String())
			b.Reset()
		}
	}
	for _, r := range norm.NFKD.String(text) {
		switch {
		case unicode.Is(unicode.Mn, r): // an accent, taken off its letter
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer):
			end()
			out = append(out, string(r))
		case unicode.IsLetter(r) || unicode.IsNumber(r):
			b.WriteRune(unicode.ToLower(r))
		default:
			end()
		}
	}
	end()
	return out
}

// isASCII texts need no normalisation.
func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// question is all that an example asks, apart from standing instructions.
func question(ex dataset.Example) string {
	var parts []string
	for _, m := range ex.Messages {
		if m.Role != llm.RoleSystem {
			parts = append(parts, m.Content)
		}
	}
	return strings.Join(parts, "\n")
}

// everything is all the text that a model would learn or read.
func everything(ex dataset.Example) []field {
	var out []field
	for _, m := range ex.Messages {
		out = append(out, field{string(m.Role), m.Content})
		for _, call := range m.ToolCalls {
			out = append(out, field{"tool_call", string(call.Arguments)})
		}
	}
	return append(out, field{"response", ex.Response})
}

// field is a piece of an example, and what it is called in a report.
type field struct{ name, text string }
