package llamacpp

import (
	"fmt"
	"strings"
)

// jinjaSpace is the white space that a trim mark takes away.
const jinjaSpace = " \t\n\r\v\f"

// jinjaTag is a tag of a template and the text before it.
type jinjaTag struct {
	text string // as it is to be output, white space control carried out
	kind byte   // '%' or '{'; 0 after the last tag
	body string // between the delimiters, without marks
}

// scanJinja splits a chat template into its tags. It carries out white space
// control as the training side does, with the options trim_blocks and
// lstrip_blocks, and leaves out comments.
func scanJinja(source string) ([]jinjaTag, error) {
	source = strings.TrimSuffix(strings.ReplaceAll(source, "\r\n", "\n"), "\n")
	var tags []jinjaTag
	text := ""                        // since the last tag that is not a comment
	lineStart, after := true, byte(0) // whether a line begins here; the mark of the tag before
	for {
		part, tag, rest, err := cutTag(source)
		if err != nil {
			return nil, err
		}
		if after == '\n' && strings.HasPrefix(part, "\n") {
			part, lineStart = part[1:], true
		}
		if after == '-' {
			part = strings.TrimLeft(part, jinjaSpace)
		}
		if tag == "" {
			return append(tags, jinjaTag{text: text + part}), nil
		}
		text += trimBefore(part, tag, lineStart)
		kind := tag[1]
		var body string
		body, after = trimMarks(tag)
		if kind != '#' {
			tags = append(tags, jinjaTag{text, kind, body})
			text = ""
		}
		source, lineStart = rest, false
	}
}

// cutTag splits source around its first tag; tag is empty if there is none.
func cutTag(source string) (text, tag, rest string, err error) {
	for i := 0; i+1 < len(source); i++ {
		if source[i] != '{' {
			continue
		}
		end := map[byte]string{'{': "}}", '%': "%}", '#': "#}"}[source[i+1]]
		if end == "" {
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

// trimMarks returns what is between the delimiters and marks of tag, and what
// is taken away behind it: '-' all white space, '\n' one line end.
func trimMarks(tag string) (body string, after byte) {
	body = tag[2 : len(tag)-2]
	if body != "" && (body[0] == '-' || body[0] == '+') {
		body = body[1:]
	}
	switch block := tag[1] != '{'; {
	case strings.HasSuffix(body, "-"):
		return body[:len(body)-1], '-'
	case block && strings.HasSuffix(body, "+"):
		return body[:len(body)-1], 0
	case block:
		return body, '\n'
	}
	return body, 0
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
