package llamacpp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// property is a member that an object may have.
type property struct {
	rule     string // its name, the colon and its value
	required bool
}

func (w *schemaWriter) object(s *node, path string, depth int) (string, error) {
	required, err := requiredOf(s, path)
	if err != nil {
		return "", err
	}
	more := s.get("additionalProperties")
	named := s.get("properties")
	if named != nil && named.kind != '{' {
		return "", badSchema(path, "has properties that are no object")
	}
	if named == nil && len(required) == 0 {
		return w.freeObject(more, path, depth)
	}
	var props []property
	known := make(map[string]bool)
	if named != nil {
		for _, m := range named.members {
			known[m.name] = true
			if !slices.Contains(required, m.name) && m.value.kind == 't' && m.value.raw == "false" {
				continue // it may not be there, so it never is
			}
			value, err := w.value(m.value, path+"/properties/"+m.name, depth+1)
			if err != nil {
				return "", err
			}
			props = append(props, w.property(m.name, value, slices.Contains(required, m.name)))
		}
	}
	for _, name := range required {
		if known[name] {
			continue
		}
		known[name] = true
		value, err := w.additional(more, path, depth)
		if err != nil {
			return "", err
		}
		props = append(props, w.property(name, value, true))
	}
	return w.rule(`"{" ws ` + w.members(props) + `ws "}"`), nil
}

func requiredOf(s *node, path string) ([]string, error) {
	list := s.get("required")
	if list == nil {
		return nil, nil
	}
	var out []string
	for _, item := range list.items {
		if item.kind != '"' {
			return nil, badSchema(path, "requires what is no name")
		}
		out = append(out, item.text)
	}
	if list.kind != '[' {
		return nil, badSchema(path, "has a required that is no list")
	}
	return out, nil
}

// additional returns the rule of a member that the schema does not name.
func (w *schemaWriter) additional(more *node, path string, depth int) (string, error) {
	switch {
	case more == nil:
		return "value", nil
	case more.kind == 't' && more.raw == "false":
		return "", badSchema(path, "requires a member that it forbids")
	}
	return w.value(more, path+"/additionalProperties", depth+1)
}

// freeObject is one of which no member is named.
func (w *schemaWriter) freeObject(more *node, path string, depth int) (string, error) {
	if more == nil {
		return "anyobject", nil
	}
	if more.kind == 't' && more.raw == "false" {
		return w.rule(`"{" ws "}"`), nil
	}
	value, err := w.additional(more, path, depth)
	if err != nil {
		return "", err
	}
	pair := "string colon " + value
	return w.rule(fmt.Sprintf(`"{" ws (%s (comma %s)*)? ws "}"`, pair, pair)), nil
}

func (w *schemaWriter) property(name, value string, required bool) property {
	return property{w.rule(literal(quoteJSON(name)) + " colon " + value), required}
}

// members writes the members in their order. For each place in it there is a
// rule for what follows where no member has been written yet, and one where a
// comma must come first.
func (w *schemaWriter) members(props []property) string {
	first, rest := `"" `, `"" `
	for i := len(props) - 1; i >= 0; i-- {
		p := props[i]
		nowFirst, nowRest := p.rule+" "+rest, "comma "+p.rule+" "+rest
		if !p.required {
			nowFirst += "| " + first
			nowRest += "| " + rest
		}
		first, rest = w.rule(nowFirst)+" ", w.rule(nowRest)+" "
	}
	return first
}

// literal writes s as a GBNF literal.
func literal(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7F:
			fmt.Fprintf(&b, `\x%02X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// reference resolves a pointer into this schema.
func (w *schemaWriter) reference(_, arg *node, path string, depth int) (string, error) {
	if arg.kind != '"' {
		return "", badSchema(path, "has a $ref that is no text")
	}
	if name, ok := w.refs[arg.text]; ok {
		return name, nil
	}
	target, err := w.resolve(arg.text, path)
	if err != nil {
		return "", err
	}
	name := w.newName()
	w.refs[arg.text] = name // before its rule: it may refer to itself
	inner, err := w.value(target, arg.text, depth+1)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&w.out, "%s ::= %s\n", name, inner)
	return name, nil
}

func (w *schemaWriter) resolve(ref, path string) (*node, error) {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok || pointer != "" && pointer[0] != '/' {
		return nil, unsupported(path, "$ref "+strconv.Quote(ref))
	}
	at := w.root
	for _, step := range strings.Split(pointer, "/")[1:] {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		next := at.get(step)
		if i, err := strconv.Atoi(step); err == nil && at.kind == '[' && 0 <= i && i < len(at.items) {
			next = at.items[i]
		}
		if next == nil {
			return nil, badSchema(path, "refers to "+strconv.Quote(ref)+", which is not there")
		}
		at = next
	}
	return at, nil
}
