package llamacpp_test

import (
	"testing"

	"retort/llm"
	"retort/local/llamacpp"
)

func TestRenderPrompt(t *testing.T) {
	talk := []llm.Message{llm.User("hi")}
	for template, want := range map[string]string{
		"chatml": "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
		"plain":  "<s>User: hi\nAssistant:",
		"{{ bos_token }}{{ messages[0]['content'] }}{{ eos_token }}": "<s>hi</s>",
	} {
		if got, err := llamacpp.RenderPrompt(template, "<s>", "</s>", talk); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", template, got, err, want)
		}
	}
	if _, err := llamacpp.RenderPrompt("no-such", "", "", talk); err == nil {
		t.Error("an unknown template is rendered")
	}
}
