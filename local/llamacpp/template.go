package llamacpp

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"strings"

	"github.com/ardanlabs/jinja"

	"retort/llm"
)

//go:embed templates/*.jinja
var builtinTemplates embed.FS

// plainTemplate is the name of the template for models that have none.
const plainTemplate = "plain"

// chatTemplate renders a conversation as the text that a model reads.
type chatTemplate struct {
	source   string // Jinja
	lead     string // what an answer begins with that is no part of it
	stops    []string
	bos, eos string
	calls    callForm
	thinks   bool   // an answer may begin with thoughts
	builtin  string // its name; empty for a template from outside
	compiled *jinja.Template
}

// newTemplate finds the template to use: a built-in one by its name or its
// source, or any other source. With none, it is the plain one: a model without a
// template is a base model as far as its file tells, whatever its architecture,
// and was trained on no marks of turns.
func newTemplate(nameOrSource, bos, eos string) (*chatTemplate, error) {
	t := &chatTemplate{bos: bos, eos: eos}
	t.source, t.builtin = findTemplate(nameOrSource)
	if t.builtin == plainTemplate {
		t.lead, t.stops = " ", []string{"\n\nUser:", "\nUser:"}
	}
	if !strings.Contains(t.source, "{") {
		return nil, fmt.Errorf("chat template %q: no such built-in, and no Jinja either", oneLine(t.source))
	}
	t.calls = callFormOf(t.source)
	t.thinks = strings.Contains(t.source, thoughtEnd)
	var err error
	if t.compiled, err = compile(t.source); err != nil {
		return nil, fmt.Errorf("chat template: %s", oneLine(err.Error()))
	}
	return t, nil
}

// findTemplate returns the source of a template, and its name if it is a
// built-in one.
func findTemplate(nameOrSource string) (source, builtin string) {
	if nameOrSource == "" {
		nameOrSource = plainTemplate
	}
	entries, _ := builtinTemplates.ReadDir("templates")
	for _, e := range entries {
		b, _ := builtinTemplates.ReadFile("templates/" + e.Name())
		if name := strings.TrimSuffix(e.Name(), ".jinja"); name == nameOrSource || string(b) == nameOrSource {
			return string(b), name
		}
	}
	return nameOrSource, ""
}

// TemplateInfo describes a chat template.
type TemplateInfo struct {
	Source  string // Jinja
	Digest  string // of the source: "sha256:" and 64 hex digits
	Builtin string // its name; empty for a template from outside
}

// FindTemplate returns the chat template that Open uses for a file whose own
// one is own (empty if it has none) where Options.Template is chosen. It needs
// no Engine. A template that Open refuses is an error.
func FindTemplate(chosen, own string) (TemplateInfo, error) {
	if chosen == "" {
		chosen = own
	}
	t, err := newTemplate(chosen, "", "")
	if err != nil {
		return TemplateInfo{}, err
	}
	return TemplateInfo{Source: t.source, Digest: t.digest(), Builtin: t.builtin}, nil
}

// beginAs makes a built-in template write the token at the start where the
// model was trained with one, and there alone. One from outside says so itself.
func (t *chatTemplate) beginAs(addBOS bool) {
	if t.builtin != "" && !addBOS {
		t.bos = ""
	}
}

// compile turns a template from anywhere into one that is bounded.
func compile(source string) (t *jinja.Template, err error) {
	defer func() {
		if p := recover(); p != nil { // the compiler does not check all it is given
			err = fmt.Errorf("%v", p)
		}
	}()
	guarded, err := guardJinja(source)
	if err != nil {
		return nil, err
	}
	return jinja.Compile(guarded)
}

// digest identifies the source.
func (t *chatTemplate) digest() string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(t.source)))
}

// prompt renders messages up to the point where the answer begins.
func (t *chatTemplate) prompt(messages []llm.Message, tools ...llm.Tool) (string, error) {
	return t.render(messages, tools, true)
}

func (t *chatTemplate) render(messages []llm.Message, tools []llm.Tool, addPrompt bool) (text string, err error) {
	defer func() {
		if p := recover(); p != nil { // the interpreter does not check all it is given
			err = fmt.Errorf("%w: chat template: %v", llm.ErrBadRequest, p)
		}
	}()
	list, size, err := messageValues(messages)
	if err != nil {
		return "", err
	}
	offered, more, err := toolValues(tools)
	if err != nil {
		return "", err
	}
	data := newRenderBudget(size + more).functions()
	for name, value := range map[string]jinja.Value{
		"messages":              list,
		"add_generation_prompt": jinja.NewBool(addPrompt),
		"bos_token":             jinja.NewString(t.bos),
		"eos_token":             jinja.NewString(t.eos),
		"tools":                 offered,
		"documents":             jinja.None(),
		"enable_thinking":       jinja.NewBool(false), // where a model can answer without thoughts, it does
	} {
		data[name] = value
	}
	text, err = t.compiled.RenderValues(data)
	if err != nil {
		return "", fmt.Errorf("%w: chat template: %s", llm.ErrBadRequest, oneLine(err.Error()))
	}
	return text, nil
}
