package llamacpp

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"retort/llm"
)

const personSchema = `{"type":"object","properties":{"name":{"type":"string","minLength":1,"maxLength":12},
	"age":{"type":"integer"},"colour":{"enum":["red","green","blue"]}},"required":["name","age","colour"],"additionalProperties":false}`

func checkSchema(t testing.TB, schema, text string) {
	t.Helper()
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(schema), &s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Errorf("%q: %v", text, err)
	} else if err := resolved.Validate(value); err != nil {
		t.Errorf("%q: %v", text, err)
	}
}

// TestGenerate_bindsTheAnswer asks several models and templates for a form, and
// at the same time for answers without one.
func TestGenerate_bindsTheAnswer(t *testing.T) {
	for _, id := range []string{smol, gemma} { // of which the second has the plain template
		m := sharedModel(t, id)
		req := greedy("Tell me about Ann, who is 30 and likes red.", 80)
		req.Format = &llm.Format{JSONSchema: json.RawMessage(personSchema)}
		var wg sync.WaitGroup
		wg.Go(func() {
			if resp, err := llm.Collect(t.Context(), m, greedy("Say hello.", 8)); err != nil || resp.Text == "" {
				t.Errorf("%s: a free answer beside it: %+v, %v", id, resp, err)
			}
		})
		wg.Go(func() {
			hot := req
			hot.Sampling.Temperature, hot.Sampling.Seed = new(1.5), new(int64(3))
			all, err := llm.CollectN(t.Context(), m, hot, 4)
			if err != nil {
				t.Error(err)
			}
			for _, resp := range all {
				if resp.FinishReason == llm.FinishStop {
					checkSchema(t, personSchema, resp.Text)
				}
			}
		})
		resp := collect(t, m, req)
		wg.Wait()
		if resp.FinishReason != llm.FinishStop {
			t.Errorf("%s: %q ended by %s", id, resp.Text, resp.FinishReason)
		}
		checkSchema(t, personSchema, resp.Text)
	}
}

func TestGenerate_bindsToAGrammar(t *testing.T) {
	m := sharedModel(t, smol)
	req := greedy("Is the sky blue?", 20)
	req.Logprobs = 2
	req.Format = &llm.Format{Grammar: `root ::= "é" ("yes" | "no") "!"`}
	resp := collect(t, m, req)
	if resp.Text != "éyes!" && resp.Text != "éno!" || resp.FinishReason != llm.FinishStop {
		t.Errorf("answer %q, %s", resp.Text, resp.FinishReason)
	}
	if len(resp.Logprobs) != resp.Usage.OutputTokens {
		t.Errorf("%d log-probabilities of %d tokens", len(resp.Logprobs), resp.Usage.OutputTokens)
	}
	req.Sampling.MaxOutputTokens = 1
	if resp := collect(t, m, req); resp.FinishReason != llm.FinishLength {
		t.Errorf("a part of the answer ended by %s, want length", resp.FinishReason)
	}
	req.Sampling.MaxOutputTokens, req.Sampling.Stop = 20, []string{"!"}
	if _, err := llm.Collect(t.Context(), m, req); !errors.Is(err, llm.ErrIncomplete) {
		t.Errorf("cut by a stop text: %v, want ErrIncomplete", err)
	}
}

func TestGenerate_refusesAFormat(t *testing.T) {
	m := sharedModel(t, smol)
	for name, tc := range map[string]struct {
		format llm.Format
		kind   error
	}{
		"grammar":  {llm.Format{Grammar: "root ::= " + strings.Repeat("(", 200_000)}, llm.ErrBadRequest},
		"no rule":  {llm.Format{Grammar: "root ::= nothing"}, llm.ErrBadRequest},
		"keyword":  {llm.Format{JSONSchema: json.RawMessage(`{"pattern":"a"}`)}, llm.ErrUnsupported},
		"no words": {llm.Format{Grammar: `root ::= "\x00"`}, llm.ErrUnsupported},
	} {
		req := greedy("hi", 5)
		req.Format = &tc.format
		_, err := llm.Collect(t.Context(), m, req)
		if !errors.Is(err, tc.kind) || !strings.HasPrefix(err.Error(), `generate "`) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %v in one line", name, err, tc.kind)
		}
	}
	if resp := collect(t, m, greedy("hi", 3)); resp.Text == "" {
		t.Error("no answer after the refusals")
	}
}

// BenchmarkForm measures what a format costs for each token: one that the model
// draws as it must, and one that has to be drawn again.
func BenchmarkForm(b *testing.B) {
	const vocabulary = 262_144
	logits := randomLogits(vocabulary, 1)
	index := newTokenIndex(wideWords{}, vocabulary)
	for _, drawn := range []int32{'{', 'x'} {
		b.Run(string(rune(drawn)), func(b *testing.B) {
			f, err := newForm(llm.Request{Format: &llm.Format{JSONSchema: json.RawMessage(personSchema)}}, wideWords{}, "", func() *tokenIndex { return index })
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				s := &sample{form: f.matcher.root, rng: rand.New(rand.NewPCG(1, 1))}
				if _, err := f.bind(s, drawn, logits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// wideWords is a large vocabulary: single bytes, and then words.
type wideWords struct{ byteWords }

func (wideWords) piece(token int32) string {
	if token < 256 {
		return string([]byte{byte(token)})
	}
	return fmt.Sprint("w", token)
}
func (wideWords) endsAnswer(int32) bool { return false }
