package llamacpp

import (
	"errors"
	"strconv"
	"strings"

	"github.com/ardanlabs/jinja"
)

// jsonFilter is the filter tojson as the training side has it: members in their
// order, a blank after each comma and colon, and nothing escaped for HTML. The
// interpreter's own differs in all three, and a model would see tools in a form
// that it was not trained on.
const jsonFilter = guardPrefix + "tojson"

// ownFilters makes a tag use jsonFilter.
func ownFilters(body string) string {
	var out strings.Builder
	last, before := 0, ""
	for _, at := range jinjaTokens.FindAllStringIndex(body, -1) {
		token := body[at[0]:at[1]]
		if token == "tojson" && before == "|" {
			out.WriteString(body[last:at[0]] + jsonFilter)
			last = at[1]
		}
		before = token
	}
	return out.String() + body[last:]
}

// toJSON is jsonFilter: its first argument is the value, and indent may be named
// or come second.
func toJSON(args []jinja.Value, named map[string]jinja.Value) (jinja.Value, error) {
	if len(args) == 0 {
		return jinja.None(), errors.New("tojson: no value")
	}
	indent := -1
	given, ok := named["indent"]
	if !ok && len(args) > 1 {
		given, ok = args[1], true
	}
	if ok && given.IsInt() {
		if indent = int(given.AsInt()); indent < 0 || indent > maxGrowth {
			return jinja.None(), errors.New("tojson: indent is out of range")
		}
	}
	w := jsonWriter{indent: indent}
	err := w.write(args[0], 0)
	return jinja.NewString(w.out.String()), err
}

// jsonWriter writes a value as Python's json.dumps does.
type jsonWriter struct {
	out    strings.Builder
	indent int // blanks for each level; all in one line if negative
}

func (w *jsonWriter) write(v jinja.Value, depth int) error {
	if depth > 2*maxSchemaDepth {
		return errors.New("tojson: nested too deep")
	}
	switch {
	case v.IsBool():
		w.out.WriteString(strconv.FormatBool(v.AsBool()))
	case v.IsInt():
		w.out.WriteString(strconv.FormatInt(v.AsInt(), 10))
	case v.IsFloat():
		s := strconv.FormatFloat(v.AsFloat(), 'g', -1, 64)
		if !strings.ContainsAny(s, ".eIN") {
			s += ".0"
		}
		w.out.WriteString(s)
	case v.IsString():
		w.out.WriteString(quoteJSON(v.AsString()))
	case v.IsList():
		return w.list(v.AsList().Items, depth)
	case v.IsDict():
		return w.dict(v.AsDict(), depth)
	case v.IsNone():
		w.out.WriteString("null")
	default:
		return errors.New("tojson: the value has no JSON form")
	}
	return nil
}

func (w *jsonWriter) list(items []jinja.Value, depth int) error {
	if len(items) == 0 {
		w.out.WriteString("[]")
		return nil
	}
	w.out.WriteByte('[')
	for i, item := range items {
		w.separate(i, depth+1)
		if err := w.write(item, depth+1); err != nil {
			return err
		}
	}
	w.newLine(depth)
	w.out.WriteByte(']')
	return nil
}

func (w *jsonWriter) dict(d *jinja.Dict, depth int) error {
	if d.Len() == 0 {
		w.out.WriteString("{}")
		return nil
	}
	w.out.WriteByte('{')
	for i, key := range d.Keys {
		w.separate(i, depth+1)
		w.out.WriteString(quoteJSON(key) + ": ")
		value, _ := d.Get(key)
		if err := w.write(value, depth+1); err != nil {
			return err
		}
	}
	w.newLine(depth)
	w.out.WriteByte('}')
	return nil
}

// separate writes what comes before item i.
func (w *jsonWriter) separate(i, depth int) {
	if i > 0 {
		w.out.WriteByte(',')
		if w.indent < 0 {
			w.out.WriteByte(' ')
		}
	}
	w.newLine(depth)
}

func (w *jsonWriter) newLine(depth int) {
	if w.indent >= 0 {
		w.out.WriteString("\n" + strings.Repeat(" ", w.indent*depth))
	}
}

// jinjaValue returns n as a template sees it.
func (n *node) jinjaValue() jinja.Value {
	switch n.kind {
	case '{':
		d := jinja.NewDict()
		for _, m := range n.members {
			d.AsDict().Set(m.name, m.value.jinjaValue())
		}
		return d
	case '[':
		items := make([]jinja.Value, len(n.items))
		for i, item := range n.items {
			items[i] = item.jinjaValue()
		}
		return jinja.NewList(items)
	case '"':
		return jinja.NewString(n.text)
	case 't':
		return jinja.NewBool(n.raw == "true")
	case 'n':
		return jinja.None()
	}
	if i, err := strconv.ParseInt(n.raw, 10, 64); err == nil {
		return jinja.NewInt(i)
	}
	f, _ := strconv.ParseFloat(n.raw, 64)
	return jinja.NewFloat(f)
}
