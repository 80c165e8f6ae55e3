package main

import (
	"fmt"
	"strings"

	"retort/llm"
	"retort/local/llamacpp"
	"retort/models/gguf"
	"retort/models/ollamastore"
)

// ggufChat is what a GGUF file says of how conversations are written.
type ggufChat struct {
	template string // Jinja; empty if it has none
	bos, eos string // the texts of the vocabulary's marks
	addsBOS  bool   // whoever reads a prompt puts bos before it
}

func readChat(path string) (ggufChat, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return ggufChat{}, err
	}
	defer f.Close()
	var c ggufChat
	c.template, _ = f.String("tokenizer.chat_template")
	words, _, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return ggufChat{}, fmt.Errorf("gguf %q: %w", path, err)
	}
	word := func(key string) string {
		if id, ok := f.Uint(key); ok && id < uint64(len(words)) {
			return words[id]
		}
		return ""
	}
	c.bos, c.eos = word("tokenizer.ggml.bos_token_id"), word("tokenizer.ggml.eos_token_id")
	var said bool
	if c.addsBOS, said = f.Bool("tokenizer.ggml.add_bos_token"); !said {
		kind, _ := f.String("tokenizer.ggml.model")
		c.addsBOS = kind == "llama" // as the engine takes it
	}
	return c, nil
}

// shape takes a chat template apart: Jinja, a built-in's name, or "" for the
// file's own, which is the plain one if it has none.
func (c ggufChat) shape(template string) (ollamastore.Shape, error) {
	if template == "" {
		template = c.template
	}
	s, err := ollamastore.ShapeOf(func(turns []ollamastore.Turn) (string, error) {
		messages := make([]llm.Message, len(turns))
		for i, t := range turns {
			messages[i] = llm.Message{Role: llm.Role(t.Role), Content: t.Content}
		}
		return llamacpp.RenderPrompt(template, c.bos, c.eos, messages)
	})
	if c.addsBOS {
		s.Begin, s.System = strings.TrimPrefix(s.Begin, c.bos), strings.TrimPrefix(s.System, c.bos)
	}
	return s, err
}
