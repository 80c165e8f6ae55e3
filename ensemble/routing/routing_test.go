package routing_test

import (
	"math"
	"testing"

	"retort/ensemble/routing"
	"retort/llm"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestSkills(t *testing.T) {
	s := routing.Skills{}
	if got := s.Of("m", "code", 8).Mean(); !near(got, 0.8) {
		t.Errorf("without outcomes the catalogue's score counts: %g", got)
	}
	if a, b := s.Of("m", "code", 8).Spread(), s.Of("m", "code", 5).Spread(); a <= 0 || b <= a {
		t.Errorf("spreads %g and %g", a, b)
	}
	for range 30 {
		s.Learn("code", 0, map[string]bool{"m": false, "n": true, "o": true})
		s.Learn("code", 0, map[string]bool{"m": true, "n": false, "o": false}) // alone: tells nothing
	}
	if got := s.Of("m", "code", 8).Mean(); !near(got, 8.0/40) {
		t.Errorf("after 30 losses %g, want 0.2", got)
	}
	if got := s.Of("m", "creative", 8).Mean(); !near(got, 0.8) {
		t.Errorf("another task type learnt from them: %g", got)
	}
	s = routing.Skills{}
	s.Learn("x", 5, map[string]bool{"a": true, "b": false})
	s.Learn("x", 1, map[string]bool{"c": true, "d": false})
	a, b, c, d := s.Of("a", "x", 5).Mean(), s.Of("b", "x", 5).Mean(), s.Of("c", "x", 5).Mean(), s.Of("d", "x", 5).Mean()
	if !(a > d && d == 0.5 && d > b && b == c) {
		t.Errorf("after stars %g %g %g %g", a, b, c, d)
	}
}

func TestClassify(t *testing.T) {
	for question, want := range map[string]string{
		"Write a binary search":                          routing.TaskCode,
		"Write a production-ready authentication system": routing.TaskCode,
		"Fix this:\n```\nx = 1\n```":                     routing.TaskCode,
		"Write a Python function that sorts":             routing.TaskCode,
		"Write a poem about rain":                        routing.TaskCreative,
		"Tell me a long story about a fox":               routing.TaskCreative,
		"Explain quantum computing":                      routing.TaskReasoning,
		"What is 2+2?":                                   routing.TaskReasoning,
		"Why is the sky blue?":                           routing.TaskReasoning,
		"How many legs do 3 spiders have?":               routing.TaskReasoning,
		"What is the capital of France?":                 routing.TaskGeneral,
		"hi":                                             routing.TaskGeneral,
		"Translate: good morning":                        routing.TaskGeneral,
	} {
		got := routing.Classify([]llm.Message{llm.System("Write code."), llm.User(question)})
		if got != want {
			t.Errorf("Classify(%q) = %s, want %s", question, got, want)
		}
	}
}
