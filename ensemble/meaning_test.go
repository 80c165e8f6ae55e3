package ensemble_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"retort/ensemble"
	"retort/llm"
	"retort/llm/llmtest"
)

// topics embeds a text by the words in it that it knows.
type topics struct {
	llmtest.Script
	fail error
}

func (e *topics) Embed(_ context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		out[i] = []float32{0, 1}
		if strings.Contains(text, "sky") {
			out[i] = []float32{1, 0}
		}
	}
	return out, e.fail
}

func TestCluster(t *testing.T) {
	member := func(name, text string) ensemble.Member { return ensemble.Member{Model: script(name, text)} }
	a, b := member("a", "The sky is blue on a clear day."), member("b", "On a clear day, blue is what the sky shows.")
	not := member("c", "The sky is not blue on a clear day.")
	number := member("d", "The sky is blue on 7 clear days.")
	other := member("e", "Grass and leaves are the green things here.")
	meaning := ensemble.Options{Embedder: &topics{}}
	for name, tc := range map[string]struct {
		opts    ensemble.Options
		members []ensemble.Member
		agreed  bool
		method  string
	}{
		"the same in other words": {meaning, []ensemble.Member{a, b}, true, "agreement by meaning (embeddings of script)"},
		"negated":                 {meaning, []ensemble.Member{a, not}, false, "agreement by meaning"},
		"another number":          {meaning, []ensemble.Member{a, number}, false, "agreement by meaning"},
		"another topic":           {meaning, []ensemble.Member{a, other}, false, "agreement by meaning"},
		"no embedder":             {ensemble.Options{}, []ensemble.Member{a, b}, false, ensemble.MethodAgreement},
	} {
		tc.opts.AllVotes = true
		out, err := queryWith(t, tc.opts, ensemble.Vote, tc.members...)
		if err != nil {
			t.Fatal(err)
		}
		if out.Agreed != tc.agreed || !strings.HasPrefix(out.Method, tc.method) {
			t.Errorf("%s: agreed %v by %q", name, out.Agreed, out.Method)
		}
	}
	out, err := queryWith(t, ensemble.Options{AllVotes: true, Embedder: &topics{fail: errors.New("no memory")}}, ensemble.Vote, a, b)
	if err != nil || out.Method != ensemble.MethodAgreement || len(out.Notes) != 1 {
		t.Errorf("%q, notes %q, %v: a failed embedder is named", out.Method, out.Notes, err)
	}
}

func TestClassify(t *testing.T) {
	for question, want := range map[string]string{
		"Write a binary search":                          ensemble.TaskCode,
		"Write a production-ready authentication system": ensemble.TaskCode,
		"Fix this:\n```\nx = 1\n```":                     ensemble.TaskCode,
		"Write a Python function that sorts":             ensemble.TaskCode,
		"Write a poem about rain":                        ensemble.TaskCreative,
		"Tell me a long story about a fox":               ensemble.TaskCreative,
		"Explain quantum computing":                      ensemble.TaskReasoning,
		"What is 2+2?":                                   ensemble.TaskReasoning,
		"Why is the sky blue?":                           ensemble.TaskReasoning,
		"How many legs do 3 spiders have?":               ensemble.TaskReasoning,
		"What is the capital of France?":                 ensemble.TaskGeneral,
		"hi":                                             ensemble.TaskGeneral,
		"Translate: good morning":                        ensemble.TaskGeneral,
	} {
		got := ensemble.Classify([]llm.Message{llm.System("Write code."), llm.User(question)})
		if got != want {
			t.Errorf("Classify(%q) = %s, want %s", question, got, want)
		}
	}
}
