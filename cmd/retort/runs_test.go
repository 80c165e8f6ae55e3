package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// One damaged run does not hide the others.
func TestRunsList_damaged(t *testing.T) {
	r := withConfig(t, "")
	for id, files := range map[string]map[string]string{
		"cut":    {"state.json": ""},
		"lost":   {"state.json": `{"status": "complete"}`},
		"intact": {"state.json": `{"status": "failed"}`},
	} {
		if err := os.MkdirAll(r.path("runs", id, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		files["job.json"], files["data/manifest.json"] = `{"id": "`+id+`"}`, "{}"
		for name, text := range files {
			if err := os.WriteFile(r.path("runs", id, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	var out bytes.Buffer
	r.stdout = &out
	err := runRunsList(t.Context(), nil, r)
	if err == nil || !strings.Contains(err.Error(), `"cut"`) || !strings.Contains(err.Error(), "result.json") {
		t.Errorf("error %v, want one that names both", err)
	}
	if !strings.Contains(out.String(), "intact  failed") {
		t.Errorf("%q", out.String())
	}
}
