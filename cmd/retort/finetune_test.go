package main

import (
	"strings"
	"testing"

	"retort/dataset"
	"retort/llm"
)

// A run that is made of an example while that is forgotten is not trained.
func TestStillKept(t *testing.T) {
	r := withConfig(t, "")
	store, err := r.store()
	if err != nil {
		t.Fatal(err)
	}
	var used []dataset.Example
	for _, text := range []string{"one", "two"} {
		used = append(used, dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User(text)}, Response: text, TaskType: "t", QualityScore: 1}))
	}
	if _, err := store.Put(t.Context(), used...); err != nil {
		t.Fatal(err)
	}
	if err := r.stillKept(t.Context(), used); err != nil || r.openedStore != nil {
		t.Errorf("%v; the store is held: %t", err, r.openedStore != nil)
	}
	if store, err = r.store(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Forget(t.Context(), used[1].ID); err != nil {
		t.Fatal(err)
	}
	if err := r.stillKept(t.Context(), used); err == nil || !strings.Contains(err.Error(), shortID(used[1].ID)+" was forgotten") || hintOf(err) == "" {
		t.Errorf("error %v", err)
	}
}
