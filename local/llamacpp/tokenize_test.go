package llamacpp

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"retort/llm"
)

// TestTokenize_isWhatIsDecoded compares with the whole conversation, and with
// what Generate counts.
func TestTokenize_isWhatIsDecoded(t *testing.T) {
	talk := []llm.Message{llm.System("Be brief."), llm.User("Grüße 😀 <b>x</b>\n"), llm.Assistant("Hi."), llm.User("2+2?")}
	for _, id := range []string{smol, gemma} {
		m := sharedModel(t, id)
		got, err := m.Tokenize(talk, "It is 4.")
		if err != nil {
			t.Fatal(err)
		}
		resp := collect(t, m, llm.Request{Messages: talk, Sampling: llm.Sampling{MaxOutputTokens: 1}})
		if n := resp.Usage.InputTokens; n != len(got.Prompt) {
			t.Errorf("%s: Tokenize makes %d prompt tokens, Generate %d", id, len(got.Prompt), n)
		}
		text, err := m.template.render(append(slices.Clip(talk), llm.Assistant("It is 4.")), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := m.vocab.tokens(text)
		if err != nil {
			t.Fatal(err)
		}
		both := m.vocab.start(whole)
		joined := slices.Concat(got.Prompt, got.Completion)
		if n := len(joined) - 1; !slices.Equal(joined[:n], both[:n]) {
			t.Errorf("%s: prompt and completion are %v, the whole conversation is %v", id, joined, both)
		}
		if last := joined[len(joined)-1]; !m.vocab.endsAnswer(last) {
			t.Errorf("%s: the completion ends in token %d, which ends no answer", id, last)
		}
	}
}

func TestTokenize_beginsOnce(t *testing.T) {
	m := sharedModel(t, gemma)
	got, err := m.Tokenize([]llm.Message{llm.User("<bos>hi")}, "yes")
	if err != nil {
		t.Fatal(err)
	}
	if got.Prompt[0] != m.vocab.bos || got.Prompt[1] == m.vocab.bos {
		t.Errorf("prompt %v, want one token %d at its start", got.Prompt, m.vocab.bos)
	}
	if slices.Contains(got.Completion, m.vocab.bos) {
		t.Errorf("completion %v begins anew", got.Completion)
	}
	again := m.vocab.start(got.Prompt)
	if !slices.Equal(again, got.Prompt) {
		t.Errorf("%v was given a second start", again[:3])
	}
}

// TestGenerate_plainTakesOffTheLead looks at the raw token that the answer
// begins with, and at what is shown of it.
func TestGenerate_plainTakesOffTheLead(t *testing.T) {
	m := sharedModel(t, gemma)
	req := greedy("What is the capital of France?", 4)
	req.Logprobs = 1
	resp := collect(t, m, req)
	if first := resp.Logprobs[0].Token; !strings.HasPrefix(first, " ") || strings.HasPrefix(resp.Text, " ") {
		t.Errorf("first token %q, answer %q: want the space in the first alone", first, resp.Text)
	}
}

func TestModel_refusesTextWithAZeroByte(t *testing.T) {
	m := sharedModel(t, smol)
	for name, call := range map[string]func() error{
		"generate": func() error { _, err := llm.Collect(t.Context(), m, greedy("a\x00b", 1)); return err },
		"score":    func() error { _, err := m.Score(t.Context(), greedy("a", 1), []string{"b\x00"}); return err },
		"tokenize": func() error { _, err := m.Tokenize([]llm.Message{llm.User("a")}, "\x00"); return err },
	} {
		if err := call(); !errors.Is(err, llm.ErrBadRequest) {
			t.Errorf("%s: error %v, want ErrBadRequest", name, err)
		}
	}
	if _, err := m.Score(t.Context(), greedy("a", 1), []string{"b", ""}); !errors.Is(err, llm.ErrBadRequest) {
		t.Errorf("an empty continuation: %v, want ErrBadRequest", err)
	}
}

// TestTokenize_plainBeginsAsTrained wants the token at the start where the
// vocabulary asks for one, once, and no other in its place.
func TestTokenize_plainBeginsAsTrained(t *testing.T) {
	for _, id := range []string{smol, gemma} {
		m := testModel(t, id, Options{Template: "plain", ContextSize: 256})
		tokens, err := m.Tokenize([]llm.Message{llm.User("hi")}, "yes")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, token := range tokens.Prompt {
			if token == m.vocab.bos {
				n++
			}
		}
		if want := map[bool]int{true: 1}[m.vocab.addBOS]; n != want {
			t.Errorf("%s: %d times the token at the start in %v, want %d", id, n, tokens.Prompt, want)
		}
	}
}

// TestTokenize_endedByClose asks what Tokenize asks the vocabulary last, as if the
// model had been closed just before.
func TestTokenize_endedByClose(t *testing.T) {
	m := openTiny(t, tinyModel(t, "llama"), tinyOptions)
	ids, err := m.endOnce([]int32{5})
	if err != nil || !slices.Equal(ids, []int32{5, m.vocab.eos}) {
		t.Errorf("ids %v, error %v", ids, err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if ids, err := m.endOnce([]int32{5}); !errors.Is(err, ErrClosed) {
		t.Errorf("ids %v, error %v after Close, want ErrClosed", ids, err)
	}
}
