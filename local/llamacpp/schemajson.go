package llamacpp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxSchemaDepth bounds how deep a schema is nested.
const maxSchemaDepth = 64

// node is a JSON value that keeps the order of an object's members.
type node struct {
	kind    byte // '{', '[', '"', '0' for a number, 't' for true and false, 'n' for null
	members []member
	items   []*node
	text    string // of a string
	raw     string // of a number, and of true and false
}

type member struct {
	name  string
	value *node
}

// get returns the member of that name; nil if there is none.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// parseNode reads one JSON value. A member that is there twice is an error:
// nobody could tell which of the two is meant.
func parseNode(data []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	n, err := readNode(d, 0)
	if err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more than one value")
	}
	return n, nil
}

func readNode(d *json.Decoder, depth int) (*node, error) {
	if depth > maxSchemaDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxSchemaDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return readObject(d, depth)
		}
		return readArray(d, depth)
	case string:
		return &node{kind: '"', text: t}, nil
	case json.Number:
		return &node{kind: '0', raw: t.String()}, nil
	case bool:
		return &node{kind: 't', raw: strconv.FormatBool(t)}, nil
	}
	return &node{kind: 'n'}, nil
}

func readObject(d *json.Decoder, depth int) (*node, error) {
	n := &node{kind: '{'}
	seen := make(map[string]bool)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		if seen[name] {
			return nil, fmt.Errorf("%q is there twice", name)
		}
		seen[name] = true
		value, err := readNode(d, depth+1)
		if err != nil {
			return nil, err
		}
		n.members = append(n.members, member{name, value})
	}
	_, err := d.Token()
	return n, err
}

func readArray(d *json.Decoder, depth int) (*node, error) {
	n := &node{kind: '['}
	for d.More() {
		item, err := readNode(d, depth+1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	_, err := d.Token()
	return n, err
}

// json writes n without white space.
func (n *node) json() string {
	switch n.kind {
	case '{':
		var parts []string
		for _, m := range n.members {
			parts = append(parts, quoteJSON(m.name)+":"+m.value.json())
		}
		return "{" + strings.Join(parts, ",") + "}"
	case '[':
		var parts []string
		for _, item := range n.items {
			parts = append(parts, item.json())
		}
		return "[" + strings.Join(parts, ",") + "]"
	case '"':
		return quoteJSON(n.text)
	case 'n':
		return "null"
	}
	return n.raw
}

// quoteJSON writes s as a JSON string, without escapes that only HTML needs.
func quoteJSON(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be encoded
	return strings.TrimSuffix(b.String(), "\n")
}

// typeName is the JSON schema name of n's type.
func (n *node) typeName() string {
	switch n.kind {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't':
		return "boolean"
	case 'n':
		return "null"
	}
	if !strings.ContainsAny(n.raw, ".eE") {
		return "integer"
	}
	return "number"
}
