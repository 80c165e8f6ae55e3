package llamacpp

import (
	"fmt"
	"strings"
)

// normalizeJinja rewrites a chat template so that the engine's Jinja renders it
// as the training side does: with the options trim_blocks and lstrip_blocks,
// and without comments. All white space control is carried out here.
func normalizeJinja(source string) (string, error) {
	source = strings.ReplaceAll(source, "\r\n", "\n")
	source = strings.TrimSuffix(source, "\n")
	var out strings.Builder
	lineStart, eatNewline, eatSpace := true, false, false
	for {
		text, tag, rest, err := nextTag(source)
		if err != nil {
			return "", err
		}
		if eatNewline && strings.HasPrefix(text, "\n") {
			text, lineStart = text[1:], true
		}
		if eatSpace {
			text = strings.TrimLeft(text, jinjaSpace)
		}
		if tag == "" {
			out.WriteString(text)
			return out.String(), nil
		}
		out.WriteString(trimBefore(text, tag, lineStart))
		lineStart = false
		block := tag[1] != '{'
		open, end := tag[:2], tag[len(tag)-2:]
		body := tag[2 : len(tag)-2]
		body = strings.TrimLeft(body[:min(1, len(body))], "-+") + body[min(1, len(body)):]
		mark := byte(0)
		if n := len(body); n > 0 && (body[n-1] == '-' || body[n-1] == '+' && block) {
			mark, body = body[n-1], body[:n-1]
		}
		eatSpace, eatNewline = mark == '-', block && mark == 0
		if tag[1] != '#' {
			out.WriteString(open + body + end)
		}
		source = rest
	}
}

const jinjaSpace = " \t\n\r\v\f"

// nextTag splits source around its first tag; tag is empty if there is none.
func nextTag(source string) (text, tag, rest string, err error) {
	for i := 0; i+1 < len(source); i++ {
		if source[i] != '{' {
			continue
		}
		var end string
		switch source[i+1] {
		case '{':
			end = "}}"
		case '%':
			end = "%}"
		case '#':
			end = "#}"
		default:
			continue
		}
		n := tagLength(source[i:], end)
		if n < 0 {
			return "", "", "", fmt.Errorf("tag is not closed: %.40q", source[i:])
		}
		return source[:i], source[i : i+n], source[i+n:], nil
	}
	return source, "", "", nil
}

// tagLength returns the length of the tag that s begins with, -1 if it is not
// closed. Quotes hide its end, but not in a comment.
func tagLength(s, end string) int {
	quote := byte(0)
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '\'' || c == '"') && end != "#}":
			quote = c
		case strings.HasPrefix(s[i:], end):
			return i + len(end)
		}
	}
	return -1
}

// trimBefore takes off the white space that tag does away with before it.
func trimBefore(text, tag string, lineStart bool) string {
	switch {
	case tag[2] == '-':
		return strings.TrimRight(text, jinjaSpace)
	case tag[2] == '+' || tag[1] == '{':
		return text
	}
	line := strings.LastIndexByte(text, '\n') + 1
	if (line > 0 || lineStart) && strings.TrimLeft(text[line:], " \t") == "" {
		return text[:line]
	}
	return text
}
