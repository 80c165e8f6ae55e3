package main

import (
	"os"
	"path/filepath"
	"testing"

	"retort/internal/files"
)

// What became of an export must not keep examples from being forgotten.
func TestExportRecord_changed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "out.jsonl")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum, err := files.SHA256(file)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                              "",
		filepath.Join(dir, "none"):        "is no longer there",
		filepath.Join(file, "none"):       "is no longer there", // its folder is a file now
		filepath.Join(dir, "none", "too"): "is no longer there",
		dir:                               "was changed since",
	} {
		e := exportRecord{Path: path, SHA256: sum}
		if became, err := e.changed(); became != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", path, became, err, want)
		}
	}
}
