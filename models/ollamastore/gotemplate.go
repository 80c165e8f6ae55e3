package ollamastore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// Bounds of what a template may do, which comes from anywhere.
const (
	maxSource  = 64 << 10 // bytes
	maxOutput  = 1 << 20
	maxNesting = 6        // of loops
	maxList    = 100      // items that a loop goes over
	maxMade    = 64 << 10 // bytes of a text that a function makes
)

var errTooMuch = errors.New("the chat template does too much")

// Renderer returns a function that renders conversations by a template in
// Ollama's syntax, as a server does for a request without tools. It bounds what
// the template can do. The error wraps ErrShape for a template that depends on
// more than the conversation, such as the date.
func Renderer(source string) (func([]Turn) (string, error), error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("%w: %d bytes long", errTooMuch, len(source))
	}
	t, err := template.New("").Option("missingkey=zero").Funcs(functions).Parse(source)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	if t.Tree == nil {
		return nil, fmt.Errorf("chat template: %w", errTooMuch) // nothing but definitions
	}
	g := guard{}
	if err := g.list(t.Root); err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	return func(turns []Turn) (string, error) {
		text, err := render(t, g, turns, true)
		if err != nil || !g.uses["Think"] && !g.uses["IsThinkSet"] {
			return text, err
		}
		// The server turns thinking on for models that can, and callers may turn it
		// off: such a template has more to say than a shape holds.
		if other, err := render(t, g, turns, false); err != nil || other != text {
			return "", ErrShape
		}
		return text, nil
	}, nil
}

// functions are those of the server that do not depend on the day, and none by
// which a short template takes long.
var functions = template.FuncMap{
	"json":             toJSON,
	"print":            small(fmt.Sprint),
	"println":          small(fmt.Sprintln),
	"html":             small(template.HTMLEscaper),
	"js":               small(template.JSEscaper),
	"urlquery":         small(template.URLQueryEscaper),
	"currentDate":      func(...any) (string, error) { return "", ErrShape },
	"yesterdayDate":    func(...any) (string, error) { return "", ErrShape },
	"toTypeScriptType": func(any) string { return "any" }, // of tools, which there are none of
	"printf":           func(...any) (string, error) { return "", errTooMuch },
	"retortItems":      items,
}

// small bounds what f makes, of which a template could make more again.
func small(f func(...any) string) func(...any) (string, error) {
	return func(args ...any) (string, error) {
		sum := 0
		for _, a := range args {
			if s, ok := a.(string); ok { // nothing else can grow
				sum += len(s)
			}
		}
		if sum > maxMade {
			return "", errTooMuch
		}
		text := f(args...)
		if len(text) > maxMade {
			return "", errTooMuch
		}
		return text, nil
	}
}

func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	if err == nil && len(b) > maxMade {
		err = errTooMuch
	}
	return string(b), err
}

// items lets pass what a loop may go over.
func items(v any) (any, error) {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return nil, nil
	case reflect.Slice, reflect.Array, reflect.Map:
		if r.Len() <= maxList {
			return v, nil
		}
	}
	return nil, errTooMuch
}

// guard walks a template before it runs: it refuses calls of other templates,
// which may recurse, binds every loop to items, and learns what is used.
type guard struct {
	uses    map[string]bool
	nesting int
}

func (g *guard) list(l *parse.ListNode) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := g.node(n); err != nil {
			return err
		}
	}
	return nil
}

func (g *guard) node(n parse.Node) error {
	switch n := n.(type) {
	case *parse.ActionNode:
		g.pipe(n.Pipe)
	case *parse.IfNode:
		return g.branch(&n.BranchNode)
	case *parse.WithNode:
		return g.branch(&n.BranchNode)
	case *parse.RangeNode:
		if g.nesting++; g.nesting > maxNesting {
			return errTooMuch
		}
		defer func() { g.nesting-- }()
		if err := g.branch(&n.BranchNode); err != nil {
			return err
		}
		n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos,
			Args: []parse.Node{parse.NewIdentifier("retortItems").SetPos(n.Pos)}})
	case *parse.TemplateNode:
		return errTooMuch
	}
	return nil
}

func (g *guard) branch(b *parse.BranchNode) error {
	g.pipe(b.Pipe)
	return errors.Join(g.list(b.List), g.list(b.ElseList))
}

// pipe notes the names of the fields in p.
func (g *guard) pipe(p *parse.PipeNode) {
	if g.uses == nil {
		g.uses = map[string]bool{}
	}
	for _, c := range p.Cmds {
		for _, arg := range c.Args {
			switch arg := arg.(type) {
			case *parse.FieldNode:
				g.note(arg.Ident)
			case *parse.VariableNode:
				g.note(arg.Ident)
			case *parse.PipeNode:
				g.pipe(arg)
			}
		}
	}
}

func (g *guard) note(names []string) {
	for _, name := range names {
		g.uses[name] = true
	}
}

// message is a turn as templates see it.
type message struct {
	Role, Content, Thinking, ToolName, ToolCallID string
	Images, ToolCalls                             []any
}

func render(t *template.Template, g guard, turns []Turn, think bool) (string, error) {
	system, turns := collate(turns)
	base := map[string]any{"Response": "", "Think": think, "ThinkLevel": "", "IsThinkSet": true}
	out := &bounded{}
	var err error
	if g.uses["Messages"] {
		var messages []*message
		for _, turn := range turns {
			messages = append(messages, &message{Role: turn.Role, Content: turn.Content})
		}
		base["System"], base["Messages"], base["Tools"] = system, messages, []any(nil)
		err = t.Execute(out, base)
	} else {
		err = renderTurns(t, out, base, turns)
	}
	if err != nil {
		return "", fmt.Errorf("chat template: %w", err)
	}
	return out.String(), nil
}

// collate joins neighbours of one role, as the server does, and returns the
// system texts apart; they stay among the turns as well.
func collate(turns []Turn) (system string, out []Turn) {
	var systems []string
	for _, t := range turns {
		if t.Role == "system" {
			systems = append(systems, t.Content)
		}
		if n := len(out); n > 0 && out[n-1].Role == t.Role {
			out[n-1].Content += "\n\n" + t.Content
			continue
		}
		out = append(out, t)
	}
	return strings.Join(systems, "\n\n"), out
}

// renderTurns runs a template of the older kind, which shows one exchange, for
// each exchange; for the last one only up to where the answer goes.
func renderTurns(t *template.Template, out *bounded, base map[string]any, turns []Turn) error {
	var exchange struct{ system, prompt, response string }
	run := func(t *template.Template) error {
		base["System"], base["Prompt"], base["Response"] = exchange.system, exchange.prompt, exchange.response
		exchange.system, exchange.prompt, exchange.response = "", "", ""
		return t.Execute(out, base)
	}
	whole, err := withResponse(t)
	if err != nil {
		return err
	}
	for _, turn := range turns {
		full := exchange.response != "" || turn.Role == "system" && exchange.prompt != ""
		if turn.Role != "assistant" && full {
			if err := run(whole); err != nil {
				return err
			}
		}
		switch turn.Role {
		case "system":
			exchange.system = turn.Content
		case "user":
			exchange.prompt = turn.Content
		case "assistant":
			exchange.response = turn.Content
		}
	}
	head, err := t.Clone()
	if err != nil {
		return err
	}
	head.Tree = t.Copy()
	cut := false
	cutAtResponse(head.Root, &cut)
	return run(head)
}

// withResponse returns t with the answer at its end, if it shows it nowhere.
func withResponse(t *template.Template) (*template.Template, error) {
	if usesResponse(t.Root) {
		return t, nil
	}
	return template.New("").Option("missingkey=zero").Funcs(functions).Parse(t.Root.String() + "{{ .Response }}")
}

func usesResponse(l *parse.ListNode) bool {
	cut := false
	cutAtResponse(l.CopyList(), &cut)
	return cut
}

// cutAtResponse removes the action that shows the answer, and all behind it.
func cutAtResponse(l *parse.ListNode, cut *bool) {
	if l == nil {
		return
	}
	l.Nodes = slices.DeleteFunc(l.Nodes, func(n parse.Node) bool {
		if *cut {
			return true
		}
		switch n := n.(type) {
		case *parse.ActionNode:
			g := guard{}
			g.pipe(n.Pipe)
			*cut = g.uses["Response"]
			return *cut
		case *parse.IfNode:
			cutBranch(&n.BranchNode, cut)
		case *parse.WithNode:
			cutBranch(&n.BranchNode, cut)
		case *parse.RangeNode:
			cutBranch(&n.BranchNode, cut)
		}
		return false
	})
}

func cutBranch(b *parse.BranchNode, cut *bool) {
	cutAtResponse(b.List, cut)
	cutAtResponse(b.ElseList, cut)
}

// bounded is a buffer that takes only so much.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxOutput {
		return 0, errTooMuch
	}
	return b.Buffer.Write(p)
}
