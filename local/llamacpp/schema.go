package llamacpp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"retort/llm"
)

// jsonRules are the rules that every grammar of a schema may use. White space
// is bounded, or a model could write it for ever; so are digits, so that every
// number fits a float64. Escapes of surrogates are left out: a lone one is no
// text, and a pair would count as one character where the grammar counts two.
const jsonRules = `
ws ::= (" " | "\n" " "{0,16})?
comma ::= ws "," ws
colon ::= ws ":" ws
boolean ::= "true" | "false"
null ::= "null"
digits ::= "0" | [1-9] [0-9]{0,14}
integer ::= "-"? digits
number ::= "-"? digits ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?
hex ::= [0-9a-fA-F]
char ::= [^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" ([0-9abcefABCEF] hex hex hex | [dD] [0-7] hex hex))
string ::= "\"" char* "\""
anyobject ::= "{" ws (string colon value (comma string colon value)*)? ws "}"
anyarray ::= "[" ws (value (comma value)*)? ws "]"
value ::= anyobject | anyarray | string | number | boolean | null
`

// annotations are keywords that do not limit what a value may be.
var annotations = []string{"title", "description", "default", "examples", "$schema", "$id", "$comment", "$anchor",
	"$defs", "definitions", "deprecated", "readOnly", "writeOnly"}

// schemaGrammar writes a JSON schema as a GBNF grammar: each text that matches
// it is a JSON value of the schema, though not each such value matches. Objects
// have the members that the schema names, in its order; others only where it
// names none. A keyword that the grammar cannot hold is llm.ErrUnsupported, and
// a schema that is none is llm.ErrBadRequest.
func schemaGrammar(schema []byte) (string, error) {
	root, err := parseNode(schema)
	if err != nil {
		return "", fmt.Errorf("%w: schema: %w", llm.ErrBadRequest, err)
	}
	w := &schemaWriter{root: root, refs: make(map[string]string)}
	name, err := w.value(root, "#", 0)
	if err != nil {
		return "", err
	}
	return "root ::= " + name + "\n" + w.out.String() + jsonRules, nil
}

// schemaWriter writes the rules of a schema.
type schemaWriter struct {
	root *node
	out  strings.Builder
	refs map[string]string // names of the rules of referenced schemas
	n    int
}

// rule writes a rule and returns its name.
func (w *schemaWriter) rule(body string) string {
	name := w.newName()
	fmt.Fprintf(&w.out, "%s ::= %s\n", name, body)
	return name
}

func (w *schemaWriter) newName() string {
	w.n++
	return "s" + strconv.Itoa(w.n)
}

// value returns the name of a rule for the schema s, which is found at path.
func (w *schemaWriter) value(s *node, path string, depth int) (string, error) {
	if depth > maxSchemaDepth || w.n > maxRepeat || w.out.Len() > maxGrammar {
		return "", unsupported(path, "its size")
	}
	if s.kind == 't' {
		if s.raw == "true" {
			return "value", nil
		}
		return "", unsupported(path, "false")
	}
	if s.kind != '{' {
		return "", badSchema(path, "is no schema")
	}
	for _, kind := range []struct {
		keyword string
		write   func(s, arg *node, path string, depth int) (string, error)
		beside  []string // keywords that may stand beside it
	}{
		{"$ref", w.reference, nil},
		{"const", w.constant, []string{"type"}},
		{"enum", w.enumeration, []string{"type"}},
		{"anyOf", w.anyOf, nil},
		{"oneOf", w.oneOf, nil},
		{"allOf", w.allOf, nil},
	} {
		arg := s.get(kind.keyword)
		if arg == nil {
			continue
		}
		if err := only(s, path, append([]string{kind.keyword}, kind.beside...)); err != nil {
			return "", err
		}
		return kind.write(s, arg, path, depth)
	}
	return w.typed(s, path, depth)
}

// only refuses keywords other than the known ones and annotations.
func only(s *node, path string, known []string) error {
	for _, m := range s.members {
		if !slices.Contains(known, m.name) && !slices.Contains(annotations, m.name) {
			return unsupported(path, strconv.Quote(m.name))
		}
	}
	return nil
}

func unsupported(path, what string) error {
	return fmt.Errorf("schema %s: %s: %w", path, what, llm.ErrUnsupported)
}

func badSchema(path, what string) error {
	return fmt.Errorf("%w: schema %s %s", llm.ErrBadRequest, path, what)
}

// typed writes a schema by its types.
func (w *schemaWriter) typed(s *node, path string, depth int) (string, error) {
	types, err := typesOf(s, path)
	if err != nil {
		return "", err
	}
	if types == nil {
		if types = impliedTypes(s); types == nil {
			return "value", only(s, path, nil)
		}
	}
	allowed := []string{"type"}
	for _, t := range types {
		allowed = append(allowed, typeKeywords[t]...)
	}
	if err := only(s, path, allowed); err != nil {
		return "", err
	}
	var alts []string
	for _, t := range types {
		alt, err := w.ofType(t, s, path, depth)
		if err != nil {
			return "", err
		}
		alts = append(alts, alt)
	}
	if len(alts) == 1 {
		return alts[0], nil
	}
	return w.rule(strings.Join(alts, " | ")), nil
}

// typeKeywords are the keywords that the grammar can hold of each type.
var typeKeywords = map[string][]string{
	"object":  {"properties", "required", "additionalProperties"},
	"array":   {"items", "minItems", "maxItems"},
	"string":  {"minLength", "maxLength"},
	"number":  nil,
	"integer": nil,
	"boolean": nil,
	"null":    nil,
}

// typesOf returns the types that s names, nil if it names none.
func typesOf(s *node, path string) ([]string, error) {
	t := s.get("type")
	if t == nil {
		return nil, nil
	}
	list := []*node{t}
	if t.kind == '[' {
		list = t.items
	}
	var out []string
	for _, item := range list {
		if _, ok := typeKeywords[item.text]; item.kind != '"' || !ok {
			return nil, badSchema(path, "has an unknown type "+item.json())
		}
		if !slices.Contains(out, item.text) {
			out = append(out, item.text)
		}
	}
	if len(out) == 0 {
		return nil, badSchema(path, "has no type")
	}
	return out, nil
}

// impliedTypes returns the type whose keywords s has: a schema of properties
// without a type allows anything that is no object, and is never meant so.
func impliedTypes(s *node) []string {
	for _, t := range []string{"object", "array", "string"} {
		for _, keyword := range typeKeywords[t] {
			if s.get(keyword) != nil {
				return []string{t}
			}
		}
	}
	return nil
}

func (w *schemaWriter) ofType(t string, s *node, path string, depth int) (string, error) {
	switch t {
	case "object":
		return w.object(s, path, depth)
	case "array":
		return w.array(s, path, depth)
	case "string":
		least, most, err := bounds(s, path, "minLength", "maxLength")
		if err != nil || least == 0 && most < 0 {
			return "string", err
		}
		return w.rule(`"\"" char` + repetition(least, most) + ` "\""`), nil
	}
	return t, nil
}

// bounds reads a pair of keywords; most is -1 if there is no upper bound.
func bounds(s *node, path, low, high string) (least, most int, err error) {
	most = -1
	for keyword, to := range map[string]*int{low: &least, high: &most} {
		n := s.get(keyword)
		if n == nil {
			continue
		}
		v, err := strconv.Atoi(n.raw)
		if n.kind != '0' || err != nil || v < 0 {
			return 0, 0, badSchema(path, "has a "+keyword+" that is no whole number")
		}
		if v > maxRepeat {
			return 0, 0, unsupported(path, fmt.Sprintf("%q above %d", keyword, maxRepeat))
		}
		*to = v
	}
	if most >= 0 && most < least {
		return 0, 0, badSchema(path, fmt.Sprintf("wants at least %d and at most %d", least, most))
	}
	return least, most, nil
}

// repetition writes the mark for least to most times.
func repetition(least, most int) string {
	if most < 0 {
		return fmt.Sprintf("{%d,}", least)
	}
	return fmt.Sprintf("{%d,%d}", least, most)
}

func (w *schemaWriter) array(s *node, path string, depth int) (string, error) {
	least, most, err := bounds(s, path, "minItems", "maxItems")
	if err != nil {
		return "", err
	}
	item := "value"
	if items := s.get("items"); items != nil && most != 0 {
		if item, err = w.value(items, path+"/items", depth+1); err != nil {
			return "", err
		}
	}
	if most == 0 {
		return w.rule(`"[" ws "]"`), nil
	}
	rest := "(comma " + item + ")" + repetition(max(least-1, 0), max(most-1, -1))
	body := item + " " + rest
	if least == 0 {
		body = "(" + body + ")?"
	}
	return w.rule(`"[" ws ` + body + ` ws "]"`), nil
}
