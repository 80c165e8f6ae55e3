package meaning

import (
	"strings"
	"unicode"
)

// codeOf returns the tokens of the code in an answer, if the answer is code: its
// fenced blocks. Line comments, blank lines and the space between tokens are gone;
// how far a line is indented relative to the one before stays, since to some
// languages it has a meaning, as it does inside of strings.
func codeOf(answer string) (string, bool) {
	parts := strings.Split(answer, "```")
	if len(parts) < 3 {
		return "", false
	}
	var out strings.Builder
	braces := strings.Contains(answer, "{")
	for i := 1; i < len(parts); i += 2 {
		_, block, _ := strings.Cut(parts[i], "\n") // the first line names the language
		depth := []int{0}
		for line := range strings.Lines(block) {
			tokens := codeTokens(line, braces)
			if tokens == "" {
				continue
			}
			if !braces { // layout carries meaning only where braces do not
				depth = indent(&out, depth, line)
			}
			out.WriteString(tokens)
			if !braces {
				out.WriteByte('\n')
			}
		}
	}
	return out.String(), out.Len() > 0
}

// indent writes a mark for each level that line goes in or out from the last.
func indent(out *strings.Builder, depth []int, line string) []int {
	width := 0
	for _, r := range line {
		if r == '\t' {
			width += 8
		} else if r == ' ' {
			width++
		} else {
			break
		}
	}
	if width > depth[len(depth)-1] {
		out.WriteByte('>')
		return append(depth, width)
	}
	for width < depth[len(depth)-1] {
		out.WriteByte('<')
		depth = depth[:len(depth)-1]
	}
	return depth
}

// codeTokens returns line without a comment at its end (after // in languages with
// braces, after # in others), and with a space only between two
// tokens that would otherwise run into each other.
func codeTokens(line string, braces bool) string {
	var out strings.Builder
	var quote, last rune
	gap := false
	runes := []rune(line)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		if quote != 0 {
			out.WriteRune(r)
			switch {
			case r == '\\' && i+1 < len(runes):
				i++
				out.WriteRune(runes[i])
			case r == quote:
				quote = 0
			}
			last = r
			continue
		}
		switch {
		case unicode.IsSpace(r):
			gap = true
			continue
		case !braces && r == '#', braces && r == '/' && i+1 < len(runes) && runes[i+1] == '/':
			return strings.TrimSuffix(out.String(), ";")
		case r == '"' || r == '\'' || r == '`':
			quote = r
		}
		if gap && isWord(last) && isWord(r) {
			out.WriteByte(' ')
		}
		out.WriteRune(r)
		gap, last = false, r
	}
	return strings.TrimSuffix(out.String(), ";")
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
