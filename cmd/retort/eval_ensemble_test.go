package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"retort/ensemble"
	"retort/llm"
	"retort/llm/llmtest"
	"retort/trainer"
)

// knower answers right but on every n-th question.
func knower(name string, n int, items []trainer.Item) *llmtest.Script {
	return &llmtest.Script{Name: name, Reply: func(req llm.Request) string {
		for i, it := range items {
			if req.Messages[len(req.Messages)-1].Content == it.Input {
				if i%n == n-1 {
					return "wrong by " + name
				}
				return it.Answer
			}
		}
		return "never asked"
	}}
}

func TestComparison(t *testing.T) {
	var items []trainer.Item
	for i := range 60 {
		items = append(items, trainer.Item{Input: fmt.Sprint("question ", i), Answer: fmt.Sprint("answer ", i)})
	}
	rec, err := openRecording("")
	if err != nil {
		t.Fatal(err)
	}
	models := []*llmtest.Script{knower("a", 4, items), knower("b", 3, items), knower("c", 5, items)}
	var stdout, stderr bytes.Buffer
	cmp := &comparison{retort: &retort{output: output{stdout: &stdout, stderr: &stderr}}, items: items,
		opts: ensemble.Options{AllVotes: true}}
	for _, m := range models {
		cmp.members = append(cmp.members, ensemble.Member{Model: rec.model(m)})
	}
	if err := cmp.makeArms([]string{"weighted", "consensus"}); err != nil {
		t.Fatal(err)
	}
	for i := range cmp.arms {
		if err := cmp.run(t.Context(), &cmp.arms[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range models {
		if m.Calls() != len(items) {
			t.Errorf("%s was asked %d times, want once for each question", m.ID(), m.Calls())
		}
	}
	v := cmp.view()
	got := map[string]armView{}
	for _, a := range v.Arms {
		got[a.Name] = a
	}
	if a := got["one sample of b"]; a.Correct != 40 || a.Coverage != 1 {
		t.Errorf("one member %+v", a)
	}
	if w, c := got["weighted"], got["consensus"]; w.Correct <= 48 || c.Precision != 1 || c.Coverage >= 0.5 || c.Accuracy != c.Coverage {
		t.Errorf("weighted %+v, consensus %+v", w, c)
	}
	if len(v.Pairs) != 4 || len(v.Confidence) != 2 || v.Confidence[0].Arm != "weighted" || v.Confidence[0].All.N != len(items) {
		t.Errorf("pairs %+v, confidence %+v", v.Pairs, v.Confidence)
	}
	v.print(cmp.retort, "items.jsonl")
	for _, want := range []string{"60 questions of items.jsonl", "weighted against one sample of a: +", "AUROC", "right of "} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, stdout.String())
		}
	}
}

func TestFewShot_showsMembersDifferentExamples(t *testing.T) {
	var shots []trainer.Item
	for i := range 6 {
		shots = append(shots, trainer.Item{Input: fmt.Sprint(i), Answer: []string{"x", "y"}[i%2]})
	}
	got := fewShot("", answersOf(shots), shots, 2)
	if len(got) != 2 || len(got[0]) != 9 || got[0][0].Content != "Answer with one of: x, y." || got[1][1].Content != "4" {
		t.Errorf("%v", got)
	}
}
