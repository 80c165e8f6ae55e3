package llamacpp

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ardanlabs/jinja"
)

// A chat template comes with a model file from anywhere, and the interpreter
// sets it no bounds. So templates are rewritten before they are compiled: each
// loop, macro and piece of text counts against a budget, each value that is
// output or kept is measured, and what could blow up within one expression is
// refused.

// Bounds of a template.
const (
	maxTemplate = 256 << 10 // bytes of source
	maxTag      = 4 << 10   // bytes of one tag, without the texts in it
	maxText     = 32 << 10  // bytes of these
	maxGrowth   = 1024      // factor by which one expression may lengthen a value
	maxJoined   = 128       // values that one expression puts beside each other
)

// Bounds of one rendering.
const (
	renderSteps = 50_000
	renderDepth = 32 // macros that call each other, and blocks within each other
	renderTime  = 2 * time.Second
	renderBytes = 16 << 20  // of output, beside what the messages hold
	renderValue = 256 << 10 // of one value, beside what the messages hold
	renderRange = 10_000    // items of one range
)

// guardPrefix begins the names that belong to the guard.
const guardPrefix = "retort__"

// guardJinja rewrites a template so that budget bounds its rendering.
func guardJinja(source string) (string, error) {
	if len(source) > maxTemplate {
		return "", fmt.Errorf("source is %d bytes, want at most %d", len(source), maxTemplate)
	}
	if strings.Contains(source, guardPrefix) {
		return "", fmt.Errorf("source has a name that begins with %s", guardPrefix)
	}
	tags, err := scanJinja(source)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	var g jinjaGuard
	for _, t := range tags {
		if t.text != "" {
			fmt.Fprintf(&out, "%s{%%set retort__=retort__step(%d)%%}", plain(t.text), len(t.text))
		}
		if t.kind == 0 {
			break
		}
		if err := vetTag(t.body); err != nil {
			return "", fmt.Errorf("%w in the tag %.60q", err, strings.TrimSpace(t.body))
		}
		t.body = ownFilters(t.body)
		out.WriteString(g.tag(t))
	}
	return out.String(), nil
}

// plain keeps a brace of a text from beginning a tag with what comes to stand behind
// it, where white space or a comment between them is gone.
func plain(text string) string {
	var out strings.Builder
	for i := range len(text) {
		if text[i] == '{' && (i+1 == len(text) || strings.IndexByte("{%#", text[i+1]) >= 0) {
			out.WriteString("{{'{'}}")
		} else {
			out.WriteByte(text[i])
		}
	}
	return out.String()
}

// jinjaGuard numbers the macros and blocks that a value is made of, so that the end
// of one is told from that of another which was left by a break.
type jinjaGuard struct {
	last int
	open []int // those whose end is yet to come
}

func (g *jinjaGuard) enter() string {
	g.last++
	g.open = append(g.open, g.last)
	return fmt.Sprintf("{%%set retort__=retort__enter(%d)%%}", g.last)
}

func (g *jinjaGuard) leave() string {
	n := len(g.open) - 1
	if n < 0 {
		return "" // the compiler says so
	}
	id := g.open[n]
	g.open = g.open[:n]
	return fmt.Sprintf("{%%set retort__=retort__leave(%d)%%}", id)
}

// tag writes a tag with what measures it.
func (g *jinjaGuard) tag(t jinjaTag) string {
	if t.kind == '{' {
		return "{{retort__out(" + t.body + ")}}"
	}
	tag := "{%" + t.body + "%}"
	switch keyword(t.body) {
	case "set":
		if name, value, ok := strings.Cut(t.body, "="); ok {
			holder, _, isField := strings.Cut(strings.TrimSpace(name)[len("set"):], ".")
			if !isField {
				holder = "none"
			}
			return "{%" + name + "=retort__keep(" + holder + "," + value + ")%}"
		}
		return tag + g.enter()
	case "for":
		return tag + "{%set retort__=retort__step(0)%}"
	case "macro", "call":
		return tag + g.enter()
	case "endmacro", "endcall", "endset":
		return g.leave() + tag
	}
	return tag
}

// keyword returns the word that a tag begins with.
func keyword(body string) string { return jinjaWord.FindString(strings.TrimSpace(body)) }

var jinjaWord = regexp.MustCompile(`^[a-z]+`)

// jinjaTokens splits the inside of a tag.
var jinjaTokens = regexp.MustCompile(`'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|\d+|\*\*|\S`)

// vetTag refuses a tag that could make much of little, or change a value that
// others hold: only so can a value come to contain itself. The training side
// refuses the latter too.
func vetTag(body string) error {
	tokens := jinjaTokens.FindAllString(body, -1)
	if err := vetLength(body, tokens); err != nil {
		return err
	}
	if k := keyword(body); k == "raw" || k == "filter" { // nothing would measure what is in them
		return errors.New(k + " block")
	}
	growth := joined(tokens)
	if growth > maxJoined {
		return fmt.Errorf("more than %d values", maxJoined)
	}
	for i, t := range tokens {
		called := i > 0 && (tokens[i-1] == "." || tokens[i-1] == "|")
		if strings.HasPrefix(t, "__") { // Python's own attributes, by which templates break out elsewhere
			return errors.New("name " + t)
		}
		switch t {
		case "*", "**":
			return errors.New("operator " + t)
		case "format", "batch", "append", "insert", "update", "pop":
			if called {
				return errors.New("function " + t)
			}
		case "replace", "join", "indent", "tojson", "escape", "e":
			if !called {
				continue
			}
			factor, err := growthOf(tokens[i+1:])
			if err != nil {
				return fmt.Errorf("%s %w", t, err)
			}
			growth *= factor
			if t == "tojson" || t == "escape" || t == "e" { // a quote is two, and those again
				growth *= 2
			}
		case "list", "split":
			if called {
				growth *= parted(tokens[i+1:])
			}
		}
		if growth > maxGrowth {
			return errors.New("growth without bound")
		}
	}
	return nil
}

// vetLength refuses a tag that is too long. Some templates hold a whole system
// message in one.
func vetLength(body string, tokens []string) error {
	texts := 0
	for _, t := range tokens {
		if t[0] == '\'' || t[0] == '"' {
			texts += len(t)
		}
	}
	switch code := len(body) - texts; {
	case code > maxTag:
		return fmt.Errorf("%d bytes, want at most %d,", code, maxTag)
	case texts > maxText:
		return fmt.Errorf("texts of %d bytes, want at most %d,", texts, maxText)
	}
	return nil
}

// joined returns how many values an expression puts beside each other at most.
func joined(tokens []string) int {
	n := 1
	for i, t := range tokens[:max(0, len(tokens)-1)] {
		if strings.Contains("~+,:", t) && !isLiteral(tokens[i+1]) {
			n++
		}
	}
	return n
}

func isLiteral(token string) bool { return strings.ContainsAny(token[:1], `'"0123456789`) }

// parted returns how much longer a text may get that is made a list and written
// out, by quotes and commas around each of its parts. tokens come after the name of
// what makes it one: a list is of characters, unless it is parted at a longer text.
func parted(tokens []string) int {
	if len(tokens) > 2 && tokens[0] == "(" && isLiteral(tokens[1]) && len(tokens[1]) >= len("'----'") {
		return 2
	}
	return 5
}

// growthOf returns how much longer a value may get by a call whose name comes
// before tokens. The arguments must be literals, or nobody could tell.
func growthOf(tokens []string) (int, error) {
	if len(tokens) == 0 || tokens[0] != "(" {
		return 1, nil
	}
	var texts []string
	factor := 1
	for i := 1; i < len(tokens); i++ {
		if factor > maxGrowth {
			return 0, errors.New("by numbers that are too large")
		}
		switch t := tokens[i]; {
		case t == ")":
			if len(texts) == 2 { // the text to replace, and the one in its place
				return factor * (1 + len(texts[1])/max(1, len(texts[0]))), nil
			}
			if len(texts) == 1 {
				factor *= 1 + len(texts[0])
			}
			return factor, nil
		case t[0] == '\'' || t[0] == '"':
			texts = append(texts, t[1:len(t)-1])
		case t[0] >= '0' && t[0] <= '9':
			n, err := strconv.Atoi(t)
			if err != nil || n > maxGrowth {
				return 0, errors.New("by a number that is too large")
			}
			factor *= max(1, n)
		case t == "," || t == "=" || i+1 < len(tokens) && tokens[i+1] == "=":
		case strings.EqualFold(t, "true") || strings.EqualFold(t, "false") || strings.EqualFold(t, "none"):
		default:
			return 0, errors.New("with an argument that is no literal")
		}
	}
	return 0, errors.New("that is not closed")
}

// renderBudget is what is left of the bounds of one rendering.
type renderBudget struct {
	steps, depth, bytes int
	value               int         // bytes of one value
	open                []openBlock // that have begun and go on
	deadline            time.Time
}

// openBlock is a macro or block by its number, and what was left of bytes when it
// began.
type openBlock struct {
	id    int64
	bytes int
}

var errBudget = errors.New("it does not come to an end")

// newRenderBudget allows for messages of that many bytes.
func newRenderBudget(input int) *renderBudget {
	return &renderBudget{
		steps:    renderSteps,
		depth:    renderDepth,
		bytes:    renderBytes + 4*input,
		value:    renderValue + 4*input,
		deadline: time.Now().Add(renderTime),
	}
}

func (b *renderBudget) spend(bytes int) error {
	b.steps--
	b.bytes -= bytes
	if b.steps < 0 || b.depth < 0 || b.bytes < 0 || time.Now().After(b.deadline) {
		return errBudget
	}
	return nil
}

// enter begins a macro or block.
func (b *renderBudget) enter(id int64) error {
	b.depth--
	b.open = append(b.open, openBlock{id, b.bytes})
	return b.spend(0)
}

// leave ends a macro or block, and those in it that a break has left. What was made
// of it is a value, which must be small enough.
func (b *renderBudget) leave(id int64) error {
	for n := len(b.open) - 1; n >= 0; n-- {
		o := b.open[n]
		b.open, b.depth = b.open[:n], b.depth+1
		if o.id != id {
			continue
		}
		if o.bytes-b.bytes > b.value {
			break
		}
		return nil
	}
	return errBudget
}

// measure returns v if it is small enough, and does not hold within it the
// namespace that it is to become a part of.
func (b *renderBudget) measure(v, holder jinja.Value, cost func(n int) int) (jinja.Value, error) {
	n, ok := weigh(v, holder, b.value)
	if !ok {
		return jinja.None(), errBudget
	}
	return v, b.spend(cost(n))
}

// functions returns what the guarded template calls, and a range with an end.
func (b *renderBudget) functions() map[string]jinja.Value {
	define := func(name string, fn func(args []jinja.Value) (jinja.Value, error)) jinja.Value {
		return jinja.NewCallable(name, func(args []jinja.Value, _ map[string]jinja.Value) (jinja.Value, error) { return fn(args) })
	}
	return map[string]jinja.Value{
		guardPrefix + "out": define("out", func(args []jinja.Value) (jinja.Value, error) {
			if len(args) == 0 {
				return jinja.None(), nil
			}
			return b.measure(args[0], jinja.None(), func(n int) int { return n })
		}),
		guardPrefix + "keep": define("keep", func(args []jinja.Value) (jinja.Value, error) {
			// What is kept is often only a name for what is there already.
			return b.measure(args[1], args[0], func(n int) int { return n / 16 })
		}),
		guardPrefix + "step": define("step", func(args []jinja.Value) (jinja.Value, error) {
			return jinja.None(), b.spend(int(args[0].AsInt()))
		}),
		guardPrefix + "enter": define("enter", func(args []jinja.Value) (jinja.Value, error) {
			return jinja.None(), b.enter(args[0].AsInt())
		}),
		guardPrefix + "leave": define("leave", func(args []jinja.Value) (jinja.Value, error) {
			return jinja.None(), b.leave(args[0].AsInt())
		}),
		"range":    define("range", boundedRange),
		jsonFilter: jinja.NewCallable(jsonFilter, toJSON),
	}
}

// weigh returns about how many bytes v takes when it is written out; false if
// more than most, or if banned is within v.
func weigh(v, banned jinja.Value, most int) (int, bool) {
	n := 16
	var parts []jinja.Value
	switch {
	case v.IsString():
		n += len(v.AsString())
	case v.IsList():
		parts = v.AsList().Items
	case v.IsDict():
		if banned.IsDict() && v.AsDict() == banned.AsDict() {
			return n, false
		}
		for _, k := range v.AsDict().Keys {
			item, _ := v.AsDict().Get(k)
			n += len(k)
			parts = append(parts, item)
		}
	}
	for _, part := range parts {
		k, ok := weigh(part, banned, most-n)
		if n += k; !ok {
			return n, false
		}
	}
	return n, n <= most
}

// boundedRange is Python's range, of numbers that are few enough.
func boundedRange(args []jinja.Value) (jinja.Value, error) {
	bounds := [3]int64{0, 0, 1}
	for i, a := range args {
		if !a.IsInt() || i > 2 {
			return jinja.None(), errors.New("range: want one to three whole numbers")
		}
		bounds[i] = a.AsInt()
	}
	if len(args) == 1 {
		bounds[0], bounds[1] = 0, bounds[0]
	}
	from, to, step := bounds[0], bounds[1], bounds[2]
	if step == 0 {
		return jinja.None(), errors.New("range: step is 0")
	}
	var items []jinja.Value
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		if len(items) == renderRange {
			return jinja.None(), fmt.Errorf("range: more than %d numbers", renderRange)
		}
		items = append(items, jinja.NewInt(i))
	}
	return jinja.NewList(items), nil
}
