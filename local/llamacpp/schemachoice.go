package llamacpp

import (
	"slices"
	"strings"
)

func (w *schemaWriter) constant(s, arg *node, path string, _ int) (string, error) {
	return w.literals(s, []*node{arg}, path)
}

func (w *schemaWriter) enumeration(s, arg *node, path string, _ int) (string, error) {
	if arg.kind != '[' || len(arg.items) == 0 {
		return "", badSchema(path, "has an enum that is no list of values")
	}
	return w.literals(s, arg.items, path)
}

// literals writes those of values that are of the schema's type.
func (w *schemaWriter) literals(s *node, values []*node, path string) (string, error) {
	types, err := typesOf(s, path)
	if err != nil {
		return "", err
	}
	var alts []string
	for _, v := range values {
		if types == nil || ofTypes(v, types) {
			alts = append(alts, literal(v.json()))
		}
	}
	if len(alts) == 0 {
		return "", badSchema(path, "allows no value")
	}
	return w.rule(strings.Join(alts, " | ")), nil
}

func ofTypes(v *node, types []string) bool {
	t := v.typeName()
	return slices.Contains(types, t) || t == "integer" && slices.Contains(types, "number")
}

func (w *schemaWriter) anyOf(_, arg *node, path string, depth int) (string, error) {
	return w.alternatives("anyOf", arg, path, depth)
}

// oneOf writes alternatives of which a value can match one alone.
func (w *schemaWriter) oneOf(_, arg *node, path string, depth int) (string, error) {
	for i, a := range arg.items {
		for _, b := range arg.items[:i] {
			if !w.disjoint(a, b) {
				return "", unsupported(path, `"oneOf" whose alternatives may overlap`)
			}
		}
	}
	return w.alternatives("oneOf", arg, path, depth)
}

// allOf is supported where it changes nothing.
func (w *schemaWriter) allOf(_, arg *node, path string, depth int) (string, error) {
	if len(arg.items) > 1 {
		return "", unsupported(path, `"allOf" of several schemas`)
	}
	return w.alternatives("allOf", arg, path, depth)
}

func (w *schemaWriter) alternatives(keyword string, arg *node, path string, depth int) (string, error) {
	if arg.kind != '[' || len(arg.items) == 0 {
		return "", badSchema(path, "has an "+keyword+" that is no list of schemas")
	}
	var alts []string
	for _, item := range arg.items {
		alt, err := w.value(item, path+"/"+keyword, depth+1)
		if err != nil {
			return "", err
		}
		alts = append(alts, alt)
	}
	return w.rule(strings.Join(alts, " | ")), nil
}

// disjoint reports whether it is plain that no value matches both a and b: they
// are of different types, list different values, or require a member of which
// that is so.
func (w *schemaWriter) disjoint(a, b *node) bool {
	a, b = w.target(a), w.target(b)
	if av, bv := listed(a), listed(b); av != nil && bv != nil {
		return !slices.ContainsFunc(av, func(v string) bool { return slices.Contains(bv, v) })
	}
	at, bt := plainTypes(a), plainTypes(b)
	if at == nil || bt == nil {
		return false
	}
	if !slices.ContainsFunc(at, func(t string) bool { return slices.Contains(bt, t) }) {
		return true
	}
	if len(at) > 1 || len(bt) > 1 || at[0] != "object" {
		return false
	}
	ar, _ := requiredOf(a, "")
	br, _ := requiredOf(b, "")
	for _, name := range ar {
		av, bv := listed(a.get("properties").get(name)), listed(b.get("properties").get(name))
		if slices.Contains(br, name) && av != nil && bv != nil &&
			!slices.ContainsFunc(av, func(v string) bool { return slices.Contains(bv, v) }) {
			return true
		}
	}
	return false
}

// target follows references, as far as that is plain.
func (w *schemaWriter) target(s *node) *node {
	for range maxSchemaDepth {
		ref := s.get("$ref")
		if ref == nil {
			break
		}
		next, err := w.resolve(ref.text, "")
		if err != nil {
			break
		}
		s = next
	}
	return s
}

// listed returns the values that s allows where it lists strings, true, false
// and null; nil if it does not. Numbers are left out: 1 and 1.0 are the same.
func listed(s *node) []string {
	values := []*node{s.get("const")}
	if list := s.get("enum"); list != nil {
		values = list.items
	}
	var out []string
	for _, v := range values {
		if v == nil || v.kind != '"' && v.kind != 't' && v.kind != 'n' {
			return nil
		}
		out = append(out, v.json())
	}
	return out
}

// plainTypes returns the types of the values that s allows, integers being
// numbers; nil if s does not say.
func plainTypes(s *node) []string {
	types, err := typesOf(s, "")
	if values := listed(s); types == nil && values != nil {
		for _, v := range values {
			types = append(types, map[byte]string{'"': "string", 't': "boolean", 'f': "boolean", 'n': "null"}[v[0]])
		}
	}
	if err != nil {
		return nil
	}
	for i, t := range types {
		if t == "integer" {
			types[i] = "number"
		}
	}
	return types
}
