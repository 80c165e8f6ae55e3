package main

import (
	"fmt"

	"retort/local/llamacpp"
	"retort/models"
	"retort/models/gguf"
)

// modelDetail is what `models show` prints.
type modelDetail struct {
	modelView
	templateView
}

// templateView is the chat template that a model is run with.
type templateView struct {
	Text   string `json:"template"` // Jinja; in place of the manifest's, which may be empty or a name
	Digest string `json:"template_digest"`
	Source string `json:"template_source"` // "file", "registry" or "builtin NAME"; "unknown" and why, where the model cannot be run
}

// templateFor finds the template of the model id.
func templateFor(reg *models.Registry, id string) templateView {
	what, err := reg.Resolve(id)
	if err == nil {
		var view templateView
		if view, err = templateOf(what); err == nil {
			return view
		}
	}
	return templateView{Source: "unknown: " + err.Error()}
}

// templateOf finds the template of a model without loading it.
func templateOf(what models.Loadable) (templateView, error) {
	f, err := gguf.Open(what.Base)
	if err != nil {
		return templateView{}, err
	}
	defer f.Close()
	own, _ := f.String("tokenizer.chat_template")
	t, err := llamacpp.FindTemplate(what.Template, own)
	if err != nil {
		return templateView{}, fmt.Errorf("model %q: %w", what.ID, err)
	}
	source := "file"
	switch {
	case t.Builtin != "":
		source = "builtin " + t.Builtin
	case what.Template != "":
		source = "registry"
	}
	return templateView{Text: t.Source, Digest: t.Digest, Source: source}, nil
}
