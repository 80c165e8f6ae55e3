package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/llm"
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
			_, err := exportFile(t.Context(), path, func(w io.Writer) (forms.Counts, error) {
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

func TestBothSides_leaveOutWhatTheUserRefused(t *testing.T) {
	store, err := dataset.Open(t.TempDir(), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for n := range 40 { // enough for both sides
		for answer, stars := range map[string]int{"good": 5, "bad": 1} {
			ex := dataset.Example{Messages: []llm.Message{llm.User(fmt.Sprint(n))}, Response: answer, QualityScore: 0.9, UserFeedback: stars}
			if _, err := store.Put(t.Context(), ex); err != nil {
				t.Fatal(err)
			}
		}
	}
	train, heldOut, err := bothSides(t.Context(), store, cli.NewContext(nil, flag.NewFlagSet("finetune", flag.ContinueOnError), nil))
	if err != nil || len(train)+len(heldOut) != 40 {
		t.Fatalf("%d and %d examples, %v; want 40 together", len(train), len(heldOut), err)
	}
	for _, ex := range append(train, heldOut...) {
		if ex.Response != "good" {
			t.Errorf("trains on or tests with %q", ex.Response)
		}
	}
}
