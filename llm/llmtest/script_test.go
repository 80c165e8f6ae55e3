package llmtest_test

import (
	"errors"
	"testing"

	"retort/llm"
	"retort/llm/llmtest"
)

func TestScript_passesTheExam(t *testing.T) {
	llmtest.TestModel(t, func(*testing.T) llm.Model { return &llmtest.Script{} }, llmtest.Options{})
}

func TestScript_faults(t *testing.T) {
	broken := errors.New("broken")
	req := llm.Request{Messages: []llm.Message{llm.User("hi")}}
	for name, tc := range map[string]struct {
		script *llmtest.Script
		want   error
	}{
		"cut":   {&llmtest.Script{Cut: true}, llm.ErrIncomplete},
		"error": {&llmtest.Script{Err: broken}, broken},
	} {
		if _, err := llm.Collect(t.Context(), tc.script, req); !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", name, err, tc.want)
		}
	}
}

func TestScript_answersInTurn(t *testing.T) {
	s := &llmtest.Script{Answers: []string{"a", "b"}}
	out, err := llm.CollectN(t.Context(), s, llm.Request{Messages: []llm.Message{llm.User("hi")}}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if got := out[0].Text + out[1].Text + out[2].Text; got != "abb" || s.Calls() != 3 {
		t.Errorf("answers %q in %d calls, want %q in 3", got, s.Calls(), "abb")
	}
}
