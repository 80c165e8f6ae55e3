package main

import (
	"encoding/json"
	"strings"
	"testing"

	"retort/models"
	"retort/models/gguf/gguftest"
)

func TestTemplateOf(t *testing.T) {
	const own = "{% for m in messages %}{{ m.content }}{% endfor %}"
	withOwn := gguftest.File{Meta: []gguftest.Pair{{Key: "tokenizer.chat_template", Value: own}}}.Write(t, "own.gguf")
	without := gguftest.File{Meta: []gguftest.Pair{{Key: "general.architecture", Value: "llama"}}}.Write(t, "none.gguf")
	for name, tc := range map[string]struct {
		what         models.Loadable
		source, text string
	}{
		"its own":         {models.Loadable{Base: withOwn}, "file", own},
		"none":            {models.Loadable{Base: without}, "builtin plain", "Assistant:"},
		"a built-in":      {models.Loadable{Base: withOwn, Template: "chatml"}, "builtin chatml", "<|im_start|>"},
		"the registry's":  {models.Loadable{Base: withOwn, Template: "{{ messages[0].content }}"}, "registry", "messages[0]"},
		"built-in source": {models.Loadable{Base: without, Template: "plain"}, "builtin plain", "Assistant:"},
	} {
		got, err := templateOf(tc.what)
		if err != nil || got.Source != tc.source || !strings.Contains(got.Text, tc.text) || !strings.HasPrefix(got.Digest, "sha256:") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := templateOf(models.Loadable{ID: "x", Base: withOwn, Template: "{{ 'a' * 9 }}"}); err == nil {
		t.Error("a template that the engine refuses is shown as one that it uses")
	}
}

// TestModelDetail holds the names of the JSON form.
func TestModelDetail(t *testing.T) {
	data, err := json.Marshal(modelDetail{modelView{Manifest: models.Manifest{ID: "m", Template: "plain"}, Current: true}, templateView{"T", "D", "S"}})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"id": "m", "template": "T", "template_digest": "D", "template_source": "S", "current": true} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
}
