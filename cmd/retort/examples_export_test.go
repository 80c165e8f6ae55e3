package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"retort/dataset/forms"
)

func TestExportFile_replacesAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.jsonl")
	broken := errors.New("broken off")
	tests := map[string]struct {
		err  error
		want string
	}{"fails": {broken, "old"}, "works": {nil, "new"}}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := exportFile(path, func(w io.Writer) (forms.Counts, error) {
				_, _ = io.WriteString(w, "new")
				return forms.Counts{}, test.err
			})
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != test.want {
				t.Errorf("file holds %q, %v; want %q", got, err, test.want)
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
				t.Errorf("files %v, %v; want the one", files, err)
			}
		})
	}
}

func TestAboutForms_saysWhatEachIs(t *testing.T) {
	for _, f := range append(forms.Readable(), forms.Writable()...) {
		if aboutForms[f] == "" {
			t.Errorf("%s has no line of help", f)
		}
	}
}
