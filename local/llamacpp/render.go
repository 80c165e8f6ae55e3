package llamacpp

import "retort/llm"

// RenderPrompt returns the text that a model with that chat template would read
// for messages. The template is Jinja or the name of a built-in one, as in
// Options; bos and eos are what it may call the vocabulary's marks. No model and
// no engine are needed.
func RenderPrompt(template, bos, eos string, messages []llm.Message) (string, error) {
	t, err := newTemplate(template, bos, eos)
	if err != nil {
		return "", err
	}
	return t.prompt(messages)
}
