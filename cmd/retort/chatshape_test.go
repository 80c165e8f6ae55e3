package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/llm"
	"retort/local/llamacpp"
	"retort/models/gguf/gguftest"
	"retort/models/ollamastore"
)

// chatFile writes a GGUF that has a vocabulary of marks and perhaps a template.
func chatFile(t *testing.T, template string) string {
	t.Helper()
	f := gguftest.File{Meta: []gguftest.Pair{{Key: "general.architecture", Value: "llama"}, {Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.tokens", Value: []string{"<unk>", "<s>", "</s>"}},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(1)}, {Key: "tokenizer.ggml.eos_token_id", Value: uint32(2)}},
		Tensors: []gguftest.Tensor{gguftest.F32("x", []uint64{4}, make([]float32, 4))}}
	if template != "" {
		f.Meta = append(f.Meta, gguftest.Pair{Key: "tokenizer.chat_template", Value: template})
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, f.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The templates of two families as GGUF files hold them.
const (
	// A default system text, as SmolLM2's.
	polite = `{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are helpful.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}`
	// The system text inside the first turn, the start mark written out, and an end mark.
	inst = `{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = '<<' + messages[0]['content'] + '>>' %}` +
		`{% else %}{% set rest = messages %}{% set system = '' %}{% endif %}{% for m in rest %}{% if m['role'] == 'user' %}` +
		`{{ '[INST] ' + (system if loop.first else '') + m['content'] + ' [/INST]' }}{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}`
	noSystem = `{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}{{ 'assistant: ' }}`
)

// TestChatShape_bothWays writes the templates of both sides in the other's
// syntax, and holds that all render alike.
func TestChatShape_bothWays(t *testing.T) {
	for name, tc := range map[string]struct {
		template string
		want     ollamastore.Shape
	}{
		"polite": {polite, ollamastore.Shape{Begin: "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\n", System: "<|im_start|>system\n",
			AfterSystem: "<|im_end|>\n<|im_start|>user\n", Assistant: "<|im_end|>\n<|im_start|>assistant\n",
			User: "<|im_end|>\n<|im_start|>user\n", Prompt: "<|im_end|>\n<|im_start|>assistant\n"}},
		"inst":      {inst, ollamastore.Shape{Begin: "[INST] ", System: "[INST] <<", AfterSystem: ">>", Assistant: " [/INST] ", User: "</s>[INST] ", Prompt: " [/INST]"}},
		"no system": {noSystem, ollamastore.Shape{Begin: "user: ", Assistant: "\nassistant: ", User: "\nuser: ", Prompt: "\nassistant: ", NoSystem: true}},
		"plain":     {"plain", ollamastore.Shape{Begin: "User: ", AfterSystem: "\n\nUser: ", Assistant: "\nAssistant: ", User: "\n\nUser: ", Prompt: "\nAssistant:"}},
	} {
		t.Run(name, func(t *testing.T) {
			chat, err := readChat(chatFile(t, polite))
			if err != nil || !chat.addsBOS || chat.bos != "<s>" || chat.eos != "</s>" {
				t.Fatalf("chat %+v, error %v", chat, err)
			}
			shape, err := chat.shape(tc.template)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, shape); diff != "" {
				t.Errorf("shape (-want +got):\n%s", diff)
			}
			if back, err := chat.shape(shape.Jinja()); err != nil || back != shape {
				t.Errorf("as Jinja %s: %+v, error %v", shape.Jinja(), back, err)
			}
			render, err := ollamastore.Renderer(shape.Template())
			if err != nil {
				t.Fatal(err)
			}
			talk := []ollamastore.Turn{{Role: "user", Content: "a 'b' \"c\" \\ {{ d }}\n"}, {Role: "assistant", Content: "{% e %}"}, {Role: "user", Content: "f"}}
			if got, err := render(talk); err != nil || got != shape.Render(talk) {
				t.Errorf("as Ollama's %s: %q, error %v; want %q", shape.Template(), got, err, shape.Render(talk))
			}
		})
	}
}

func TestShapeJinja_refusesWhatItCannotShow(t *testing.T) {
	jinja := ollamastore.Shape{Begin: "<'u\\>\t", Assistant: "<a>", User: "<u>", Prompt: "<a>", NoSystem: true}.Jinja()
	if got, err := llamacpp.RenderPrompt(jinja, "", "", []llm.Message{llm.User("x")}); err != nil || got != "<'u\\>\tx<a>" {
		t.Errorf("%q, error %v", got, err)
	}
	for _, m := range []llm.Message{llm.System("x"), {Role: llm.RoleTool, Content: "x"}} {
		if got, err := llamacpp.RenderPrompt(jinja, "", "", []llm.Message{m, llm.User("y")}); !errors.Is(err, llm.ErrBadRequest) {
			t.Errorf("%s: %q, error %v, want ErrBadRequest", m.Role, got, err)
		}
	}
}

func TestStoredTemplate(t *testing.T) {
	const (
		chatML = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
		dated  = `{{ currentDate }}{{ range .Messages }}{{ .Role }}{{ .Content }}{{ end }}`
		older  = `[INST] {{ if .System }}<<{{ .System }}>>{{ end }}{{ .Prompt }} [/INST] {{ .Response }}</s>`
	)
	shapeOf := func(template string) string {
		chat, err := readChat(chatFile(t, polite))
		if err != nil {
			t.Fatal(err)
		}
		s, err := chat.shape(template)
		if err != nil {
			t.Fatal(err)
		}
		return s.Template()
	}
	for name, tc := range map[string]struct {
		own, layer, renderer string
		want, remark         string
		refused              bool
	}{
		"no layer":                {own: polite},
		"neither":                 {},
		"the file's own":          {own: polite, layer: shapeOf(polite)},
		"known, though not own":   {own: polite, layer: chatML, want: "chatml"},
		"plain":                   {layer: shapeOf("plain"), want: "plain"},
		"older kind":              {layer: older, want: "[INST]"},
		"too clever, own":         {own: polite, layer: dated, remark: "stands in for Ollama's"},
		"too clever, none":        {layer: dated, refused: true},
		"part of the server, own": {own: polite, renderer: "qwen3-coder", remark: `"qwen3-coder" is a part of the Ollama server`},
		"part of the server":      {renderer: "qwen3-coder", refused: true},
		"broken, none":            {layer: "{{ if }}", refused: true},
	} {
		m := ollamastore.Model{Weights: chatFile(t, tc.own), Template: tc.layer, Renderer: tc.renderer}
		got, remark, err := storedTemplate(m)
		if tc.refused {
			if !errors.Is(err, llm.ErrUnsupported) {
				t.Errorf("%s: template %q, error %v, want ErrUnsupported", name, got, err)
			}
			continue
		}
		if err != nil || !strings.Contains(got, tc.want) || tc.want == "" && got != "" || !strings.Contains(remark, tc.remark) || tc.remark == "" && remark != "" {
			t.Errorf("%s: template %q, remark %q, error %v", name, got, remark, err)
		}
	}
}
