package main

import (
	"strings"
	"testing"
)

func TestDemoData_partsAreApart(t *testing.T) {
	d, err := readDemo(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(d.topics); n < 12 || n > 15 {
		t.Errorf("%d topics, want 12 to 15", n)
	}
	if len(d.shots) < 40 || len(d.unlabelled) < 400 || len(d.heldOut) < 240 {
		t.Errorf("%d shots, %d unlabelled, %d held out: too few", len(d.shots), len(d.unlabelled), len(d.heldOut))
	}
	where := map[string]string{}
	note := func(text, part string) {
		key := strings.ToLower(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < 'A' }), " "))
		if other, ok := where[key]; ok {
			t.Errorf("%q is in %s and in %s", text, other, part)
		}
		where[key] = part
	}
	for _, s := range d.shots {
		note(s.Input, "shots")
	}
	for _, s := range d.heldOut {
		note(s.Input, "held-out")
	}
	for _, text := range d.unlabelled {
		note(text, "unlabelled")
		if d.truth[text] == "" {
			t.Errorf("unlabelled %q has no true topic for the report", text)
		}
	}
	if len(d.truth) != len(d.unlabelled) {
		t.Errorf("%d true topics for %d requests", len(d.truth), len(d.unlabelled))
	}
}

func TestDemoPrefixes_showEveryTopicTwiceAndDiffer(t *testing.T) {
	d, err := readDemo(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, prefix := range d.prefixes() {
		topics := map[string]int{}
		for _, m := range prefix[1:] {
			if m.Role == "assistant" {
				topics[m.Content]++
				continue
			}
			if seen[m.Content] {
				t.Errorf("prefix %d repeats %q", i, m.Content)
			}
			seen[m.Content] = true
		}
		for _, topic := range d.topics {
			if topics[topic] != 2 {
				t.Errorf("prefix %d shows %s %d times, want 2", i, topic, topics[topic])
			}
		}
	}
}
