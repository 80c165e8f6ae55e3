package ollamastore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/models/ollamastore"
)

// The chat templates of three families, in Ollama's syntax.
const (
	chatML = `{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
`
	folded = `{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 }}
{{- if eq .Role "user" }}<start_of_turn>user
{{ if and (eq $i 1) $.System }}{{ $.System }}

{{ end }}{{ .Content }}<end_of_turn>
{{ else if eq .Role "assistant" }}<start_of_turn>model
{{ .Content }}<end_of_turn>
{{ end }}
{{- if $last }}<start_of_turn>model
{{ end }}
{{- end }}`
	older = `{{ if .System }}<<SYS>>{{ .System }}<</SYS>>

{{ end }}{{ if .Prompt }}[INST] {{ .Prompt }} [/INST]{{ end }}{{ .Response }}</s>`
	withTools = `{{ if or .System .Tools }}<sys>{{ .System }}{{ if .Tools }}{{ range .Tools }}{{ json .Function }}{{ end }}{{ end }}</sys>{{ end }}
{{- range $m := .Messages }}{{ if eq .Role "user" }}<u>{{ .Content }}{{ else if eq .Role "assistant" }}<a>{{ if .Content }}{{ .Content }}{{ else }}{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}{{ end }}{{ end }}{{ end }}<a>`
	noSystem = `{{ range .Messages }}{{ if ne .Role "system" }}[{{ .Role }}]{{ .Content }}{{ end }}{{ end }}[assistant]`
)

func TestShape_ofTemplates(t *testing.T) {
	for name, tc := range map[string]struct {
		source string
		want   ollamastore.Shape
		stops  []string
	}{
		"chatml": {chatML, ollamastore.Shape{Begin: "<|im_start|>user\n", System: "<|im_start|>system\n", AfterSystem: "<|im_end|>\n<|im_start|>user\n",
			Assistant: "<|im_end|>\n<|im_start|>assistant\n", User: "<|im_end|>\n<|im_start|>user\n", Prompt: "<|im_end|>\n<|im_start|>assistant\n"},
			[]string{"<|im_end|>"}},
		"folded": {folded, ollamastore.Shape{Begin: "<start_of_turn>user\n", System: "<start_of_turn>user\n", AfterSystem: "\n\n",
			Assistant: "<end_of_turn>\n<start_of_turn>model\n", User: "<end_of_turn>\n<start_of_turn>user\n", Prompt: "<end_of_turn>\n<start_of_turn>model\n"},
			[]string{"<end_of_turn>"}},
		"older": {older, ollamastore.Shape{Begin: "[INST] ", System: "<<SYS>>", AfterSystem: "<</SYS>>\n\n[INST] ",
			Assistant: " [/INST]", User: "</s>[INST] ", Prompt: " [/INST]"}, []string{"</s>"}},
		"tools": {withTools, ollamastore.Shape{Begin: "<u>", System: "<sys>", AfterSystem: "</sys><u>", Assistant: "<a>", User: "<u>", Prompt: "<a>"}, []string{"<u>"}},
		"no system": {noSystem, ollamastore.Shape{Begin: "[user]", Assistant: "[assistant]", User: "[user]", Prompt: "[assistant]", NoSystem: true},
			[]string{"[user]", "\n[user]"}},
	} {
		t.Run(name, func(t *testing.T) {
			render, err := ollamastore.Renderer(tc.source)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ollamastore.ShapeOf(render)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("shape (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.stops, got.Stops()); diff != "" {
				t.Errorf("stops (-want +got):\n%s", diff)
			}
			again, err := ollamastore.Renderer(got.Template())
			if err != nil {
				t.Fatal(err)
			}
			back, err := ollamastore.ShapeOf(again)
			if got.NoSystem { // which Ollama's syntax cannot refuse
				back.NoSystem, back.System, back.AfterSystem = true, "", ""
			}
			if diff := cmp.Diff(got, back); diff != "" || err != nil {
				t.Errorf("template %s\nerror %v, shape (-want +got):\n%s", got.Template(), err, diff)
			}
		})
	}
}

func TestShapeOf_refuses(t *testing.T) {
	for name, source := range map[string]string{
		"date":            `{{ currentDate }}{{ range .Messages }}{{ .Role }}{{ .Content }}{{ end }}`,
		"thinking":        `{{ range .Messages }}{{ .Role }}{{ .Content }}{{ end }}{{ if .Think }}<think>{{ end }}`,
		"last alone":      `{{ range $i, $_ := .Messages }}{{ if eq (len (slice $.Messages $i)) 1 }}{{ .Content }}{{ end }}{{ end }}`,
		"said twice":      `{{ range .Messages }}{{ .Content }}{{ .Content }}{{ end }}`,
		"nothing":         `x`,
		"length shows":    `{{ range .Messages }}<{{ .Role }}{{ len .Content }}>{{ .Content }}{{ end }}`,
		"by position":     `{{ range $i, $_ := .Messages }}<{{ $i }}>{{ .Content }}{{ end }}`,
		"unknown field":   `{{ range .Messages }}{{ .Content }}{{ .Mood }}{{ end }}`,
		"by content":      `{{ range .Messages }}{{ if eq .Content "x" }}<x>{{ end }}<{{ .Role }}>{{ .Content }}{{ end }}`,
		"failing at once": `{{ index .Messages 99 }}`,
	} {
		render, err := ollamastore.Renderer(source)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if shape, err := ollamastore.ShapeOf(render); err == nil {
			t.Errorf("%s: shape %+v", name, shape)
		} else if strings.Contains("date thinking", name) && !errors.Is(err, ollamastore.ErrShape) {
			t.Errorf("%s: error %v, want ErrShape", name, err)
		}
	}
}

// TestRenderer_hostile has templates that would take all time or memory.
func TestRenderer_hostile(t *testing.T) {
	for name, source := range map[string]string{
		"endless recursion": `{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`,
		"counting":          `{{ range 1000000000 }}{{ range 1000000000 }}{{ end }}{{ end }}`,
		"counting by name":  `{{ $n := 1000000000 }}{{ range $n }}{{ end }}`,
		"by length":         `{{ $n := len "` + strings.Repeat("x", 60_000) + `" }}{{ range $n }}{{ range $n }}{{ end }}{{ end }}`,
		"padding":           `{{ printf "%1000000d" 1 }}`,
		"doubling":          `{{ $a := "<" }}` + strings.Repeat(`{{ $a = print $a $a }}`, 60) + `{{ .Prompt }}`,
		"doubling a line":   `{{ $a := "<" }}` + strings.Repeat(`{{ $a = println $a $a }}`, 60) + `{{ .Prompt }}`,
		"escaping":          `{{ $a := "<<<<" }}` + strings.Repeat(`{{ $a = html $a $a }}`, 60) + `{{ .Prompt }}`,
		"escaping for js":   `{{ $a := "<<<<" }}` + strings.Repeat(`{{ $a = js $a }}`, 60) + `{{ .Prompt }}`,
		"escaping a query":  `{{ $a := "<<<<" }}` + strings.Repeat(`{{ $a = urlquery $a $a }}`, 60) + `{{ .Prompt }}`,
		"quoting":           `{{ $a := "\"" }}` + strings.Repeat(`{{ $a = json $a }}`, 60) + `{{ .Prompt }}`,
		"much text":         `{{ range .Messages }}` + strings.Repeat(`{{ range $.Messages }}`, 5) + strings.Repeat("x", 50_000) + strings.Repeat(`{{ end }}`, 6),
		"deep":              strings.Repeat(`{{ range .Messages }}`, 50) + strings.Repeat(`{{ end }}`, 50),
		"long":              strings.Repeat("x", 65<<10),
		"broken":            `{{ if }}`,
		"nothing":           ``,
		"unknown function":  `{{ system "reboot" }}`,
	} {
		render, err := ollamastore.Renderer(source)
		if err != nil {
			continue
		}
		if text, err := render([]ollamastore.Turn{{Role: "user", Content: "a"}, {Role: "assistant", Content: "b"}, {Role: "user", Content: "c"},
			{Role: "assistant", Content: "d"}, {Role: "user", Content: "e"}, {Role: "assistant", Content: "f"}, {Role: "user", Content: "g"}}); err == nil && name != "nothing" {
			t.Errorf("%s: rendered %.80q", name, text)
		}
	}
}

func FuzzShape(f *testing.F) {
	for _, s := range []string{chatML, folded, older, withTools, noSystem} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		render, err := ollamastore.Renderer(source)
		if err != nil {
			return
		}
		shape, err := ollamastore.ShapeOf(render)
		if err != nil || shape.NoSystem {
			return
		}
		again, err := ollamastore.Renderer(shape.Template())
		if err != nil {
			t.Fatalf("%q became %q: %v", source, shape.Template(), err)
		}
		if back, err := ollamastore.ShapeOf(again); err != nil || back != shape {
			t.Errorf("%q: shape %+v became %+v, error %v", source, shape, back, err)
		}
	})
}
