package bench

import (
	"context"
	"errors"
	"strings"
	"testing"

	"retort/llm"
	"retort/llm/llmtest"
)

func TestPrompts_haveExactlySoManyTokens(t *testing.T) {
	p := Prompts{Seed: 1, Count: func(s string) (int, error) { return 1 + len(strings.Fields(s)), nil }}
	seen := map[string]bool{}
	for n := range 20 {
		text, err := p.Text(n, 128)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := p.Count(text); got != 128 {
			t.Errorf("text %d has %d tokens", n, got)
		}
		if again, _ := p.Text(n, 128); again != text {
			t.Errorf("text %d is another one when asked for again", n)
		}
		start := text[:20]
		if seen[start] {
			t.Errorf("text %d begins as another one: %q", n, start)
		}
		seen[start] = true
	}
}

func TestPrompts_reportsWhatCannotBe(t *testing.T) {
	p := Prompts{Count: func(s string) (int, error) { return 2 * len(strings.Fields(s)), nil }}
	if _, err := p.Text(1, 31); !errors.Is(err, errNoPrompt) {
		t.Errorf("error %v", err)
	}
	bad := errors.New("bad")
	if _, err := (Prompts{Count: func(string) (int, error) { return 0, bad }}).Text(1, 3); !errors.Is(err, bad) {
		t.Errorf("error %v", err)
	}
}

func TestGenerate_countsAndClocks(t *testing.T) {
	a := Ask{Prompt: "one two three", Output: 8, Answers: 3, Temperature: 1, TopK: 40, TopP: 0.9, Seed: 7}
	for name, tc := range map[string]struct {
		run   func(context.Context, llm.Model, Ask) (Sample, error)
		calls int
	}{"once": {Generate, 1}, "at once": {GenerateN, 3}, "each": {GenerateEach, 3}} {
		m := &llmtest.Script{Answers: []string{"some words to say"}}
		s, err := tc.run(t.Context(), m, a)
		if err != nil || s.Total <= 0 || s.Input == 0 || s.Output != tc.calls*4 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		got := m.Requests()
		if len(got) != tc.calls {
			t.Fatalf("%s: %d calls, want %d", name, len(got), tc.calls)
		}
		for i, req := range got {
			if p := req.Sampling; *p.Seed != 7+int64(i) || *p.Temperature != 1 || *p.TopK != 40 || *p.MinP != 0 || p.MaxOutputTokens != 8 {
				t.Errorf("%s: call %d asks %+v", name, i, p)
			}
		}
	}
}
