package ollamastore

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrShape: a chat template that does more than put fixed texts between the
// turns of a conversation, so that it cannot be written in another syntax.
var ErrShape = errors.New("the chat template is more than fixed texts around the turns")

// Turn is one utterance of a conversation; Role is "system", "user" or
// "assistant".
type Turn struct{ Role, Content string }

// Shape is a chat template taken apart: the fixed texts that it puts around the
// turns of a conversation, in which users and assistant take turns and a system
// text may come first. Two templates of one shape render alike.
type Shape struct {
	Begin       string // before the first user's text, where there is no system text
	System      string // before the system text
	AfterSystem string // between system text and the first user's text
	Assistant   string // between a user's text and the answer that follows
	User        string // between an answer and the user's text that follows
	Prompt      string // after the last user's text, where the answer begins
	NoSystem    bool   // the template takes no system text
}

// Contents of the conversation that a template is taken apart with.
const (
	probeSystem = "Zq7system"
	probeUser   = "Zq7question"
	probeAnswer = "Zq7answer"
	probeNext   = "Zq7follow"
)

// ShapeOf takes a template apart by what it renders, and holds the result
// against other conversations. A template that takes no system text may refuse
// it or leave it out. The error wraps ErrShape or is one of render's.
func ShapeOf(render func([]Turn) (string, error)) (Shape, error) {
	talk := []Turn{{"user", probeUser}, {"assistant", probeAnswer}, {"user", probeNext}}
	text, err := render(talk)
	if err != nil {
		return Shape{}, err
	}
	parts, ok := split(text, probeUser, probeAnswer, probeNext)
	if !ok {
		return Shape{}, ErrShape
	}
	s := Shape{Begin: parts[0], Assistant: parts[1], User: parts[2], Prompt: parts[3]}
	text, err = render(append([]Turn{{"system", probeSystem}}, talk...))
	parts, ok = split(text, probeSystem, probeUser)
	if err == nil && ok {
		s.System, s.AfterSystem = parts[0], parts[1]
	} else {
		s.NoSystem = true
	}
	return s, s.verify(render)
}

// split cuts text at the marks, which must come in order and once each.
func split(text string, marks ...string) (parts []string, ok bool) {
	for _, mark := range marks {
		before, after, found := strings.Cut(text, mark)
		if !found || strings.Contains(after, mark) {
			return nil, false
		}
		parts, text = append(parts, before), after
	}
	return append(parts, text), true
}

// verify renders conversations of other lengths and contents both ways.
func (s Shape) verify(render func([]Turn) (string, error)) error {
	talk := []Turn{{"user", "Hello there"}, {"assistant", "Hi!\n\nHow are you?"}, {"user", "2 < 3?\nSure?"},
		{"assistant", "Yes."}, {"user", "x"}, {"assistant", "**y**"}, {"user", "Thanks, bye"}}
	system := Turn{"system", "Be brief.\nBe kind."}
	for n := 1; n <= len(talk); n += 2 {
		for _, turns := range [][]Turn{talk[:n], append([]Turn{system}, talk[:n]...)} {
			if s.NoSystem && turns[0].Role == "system" {
				continue
			}
			got, err := render(turns)
			if err != nil {
				return err
			}
			if got != s.Render(turns) {
				return ErrShape
			}
		}
	}
	return nil
}

// Render puts the texts around turns, up to the point where the answer begins.
func (s Shape) Render(turns []Turn) string {
	var b strings.Builder
	before := s.Begin
	if len(turns) > 0 && turns[0].Role == "system" {
		b.WriteString(s.System + turns[0].Content)
		before, turns = s.AfterSystem, turns[1:]
	}
	for _, t := range turns {
		if t.Role == "assistant" {
			before = s.Assistant
		}
		b.WriteString(before + t.Content)
		before = s.User
	}
	return b.String() + s.Prompt
}

// Template writes the shape in Ollama's syntax. Where the shape takes no system
// text, one goes before the first user's text with a blank line between them.
func (s Shape) Template() string {
	system, after := s.System, s.AfterSystem
	if s.NoSystem {
		system, after = s.Begin, "\n\n"
	}
	return `{{ if .System }}` + quoted(system) + `{{ .System }}` + quoted(after) + `{{ else }}` + quoted(s.Begin) + `{{ end }}` +
		`{{ $last := "" }}{{ range .Messages }}` +
		`{{ if eq .Role "user" }}{{ if eq $last "assistant" }}` + quoted(s.User) + `{{ end }}{{ .Content }}{{ $last = "user" }}` +
		`{{ else if eq .Role "assistant" }}` + quoted(s.Assistant) + `{{ .Content }}{{ $last = "assistant" }}{{ end }}` +
		`{{ end }}` + quoted(s.Prompt)
}

// quoted writes text as an action that yields it, whatever it holds.
func quoted(text string) string {
	if text == "" {
		return ""
	}
	return "{{ " + strconv.Quote(text) + " }}"
}

// Jinja writes the shape in the syntax that GGUF files hold. Conversations that
// it cannot show are refused by it.
func (s Shape) Jinja() string {
	system := `{{- ` + jinja(s.System) + ` + message['content'] + ` + jinja(s.AfterSystem) + ` -}}`
	if s.NoSystem {
		system = `{{- raise_exception('this template takes no system text') -}}`
	}
	return `{%- if messages[0]['role'] != 'system' -%}{{- ` + jinja(s.Begin) + ` -}}{%- endif -%}` +
		`{%- for message in messages -%}` +
		`{%- if message['role'] == 'system' and loop.first -%}` + system +
		`{%- elif message['role'] == 'user' -%}` +
		`{%- if not loop.first and messages[loop.index0 - 1]['role'] != 'system' -%}{{- ` + jinja(s.User) + ` -}}{%- endif -%}` +
		`{{- message['content'] -}}` +
		`{%- elif message['role'] == 'assistant' -%}{{- ` + jinja(s.Assistant) + ` + message['content'] -}}` +
		`{%- else -%}{{- raise_exception('this template has no place for ' + message['role']) -}}{%- endif -%}` +
		`{%- endfor -%}` +
		`{%- if add_generation_prompt -%}{{- ` + jinja(s.Prompt) + ` -}}{%- endif -%}`
}

// jinja writes text as a constant.
func jinja(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text) + "'"
}

var mark = regexp.MustCompile(`^\s*(<[^<>\s]{1,40}>)`)

// Stops returns the texts by which a runner that does not know the end of a turn
// can tell it.
func (s Shape) Stops() []string {
	if m := mark.FindStringSubmatch(s.User); m != nil {
		return []string{m[1]}
	}
	next := strings.TrimRight(s.User, " ")
	if strings.TrimSpace(next) == "" {
		return nil
	}
	return slices.Compact([]string{next, "\n" + strings.TrimLeft(next, "\n")})
}
