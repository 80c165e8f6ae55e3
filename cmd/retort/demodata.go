package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"retort/llm"
	"retort/trainer"
)

// The demo's task: what guests of a hotel say to its front desk, to be sorted
// into topics. No request is in two of the files.
//
//	shots.jsonl               labelled: the few-shot examples, in rounds that hold each topic once
//	unlabelled.jsonl          what the ensemble labels
//	unlabelled-answers.jsonl  their true topics, read only to report how good the labels are
//	heldout.jsonl             labelled: what every model is measured on
//
//go:embed demo/*.jsonl
var demoFiles embed.FS

const demoTask = "hotel-desk"

// demoData is the task in memory.
type demoData struct {
	topics     []string
	shots      []trainer.Item
	unlabelled []string
	truth      map[string]string // topic of each unlabelled request; for the report alone
	heldOut    []trainer.Item
}

// readDemo returns the first requests unlabelled and the first questions held-out
// requests; 0 is all.
func readDemo(requests, questions int) (demoData, error) {
	var d demoData
	var answers []trainer.Item
	for name, into := range map[string]*[]trainer.Item{"shots": &d.shots, "heldout": &d.heldOut, "unlabelled-answers": &answers} {
		f, err := demoFiles.Open("demo/" + name + ".jsonl")
		if err != nil {
			return d, err
		}
		items, err := trainer.ReadItems(f)
		f.Close()
		if err != nil {
			return d, fmt.Errorf("demo data %s: %w", name, err)
		}
		*into = items
	}
	text, err := demoFiles.ReadFile("demo/unlabelled.jsonl")
	if err != nil {
		return d, err
	}
	for line := range strings.Lines(string(text)) {
		var request struct{ Input string }
		if err := json.Unmarshal([]byte(line), &request); err != nil {
			return d, fmt.Errorf("demo data unlabelled: %w", err)
		}
		d.unlabelled = append(d.unlabelled, request.Input)
	}
	for _, s := range d.shots {
		d.topics = append(d.topics, s.Answer)
	}
	slices.Sort(d.topics)
	d.topics = slices.Compact(d.topics)
	d.truth = map[string]string{}
	for _, it := range answers {
		d.truth[it.Input] = it.Answer
	}
	d.unlabelled, d.heldOut = firstN(d.unlabelled, requests), firstN(d.heldOut, questions)
	return d, nil
}

func firstN[T any](all []T, n int) []T {
	if n <= 0 {
		return all
	}
	return all[:min(n, len(all))]
}

// prefixes deals the few-shot examples over conversations of two rounds each, so
// that the samples of a member have seen different examples.
func (d demoData) prefixes() [][]llm.Message {
	const rounds = 2
	var out [][]llm.Message
	for batch := range slices.Chunk(d.shots, rounds*len(d.topics)) {
		prefix := []llm.Message{llm.System("Sort the hotel guest's request into one topic: " + strings.Join(d.topics, ", ") + ".")}
		for _, s := range batch {
			prefix = append(prefix, llm.User(s.Input), llm.Assistant(s.Answer))
		}
		out = append(out, prefix)
	}
	return out
}
