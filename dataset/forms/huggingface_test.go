package forms_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/llm"
)

// Hugging Face datasets load every file, and TRL's trainers take those that are
// made for them.
func TestWrite_isTakenByTRL(t *testing.T) {
	home := os.Getenv("RETORT_TEST_HOME")
	if home == "" {
		t.Skip("RETORT_TEST_HOME is not set: no Python environment")
	}
	if testing.Short() {
		t.Skip("it waits for Python")
	}
	dir := t.TempDir()
	examples := slices.DeleteFunc(various(), func(ex dataset.Example) bool { return len(ex.Messages[0].Images) > 0 })
	s := store(t, examples...) // an image is a list of parts, which a column of text does not take
	columns := map[forms.Form]string{
		forms.Retort:    "messages response quality_score",
		forms.OpenAI:    "messages",
		forms.TRLSFT:    "messages",
		forms.TRLPrompt: "prompt completion",
		forms.TRLDPO:    "prompt chosen rejected",
		forms.TRLKTO:    "prompt completion label",
		forms.ShareGPT:  "conversations",
		forms.Alpaca:    "system instruction input output",
		forms.Parquet:   "messages id task_type",
	}
	want := map[forms.Form]int{}
	for _, form := range forms.Writable() {
		text, counts := exported(t, s, form)
		name := string(form) + ".jsonl"
		if form == forms.Parquet {
			name = "parquet.parquet"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want[form] = counts.Written
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(home, "python", "bin", "python"), "-B", filepath.Join("testdata", "accept.py"), dir)
	cmd.Env = append(os.Environ(), "HF_HOME="+filepath.Join(dir, "hf"), "HF_HUB_OFFLINE=1", "HF_DATASETS_OFFLINE=1", "TRANSFORMERS_OFFLINE=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v:\n%s", err, stderr.Bytes())
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n") // trainers print their own
	var got map[forms.Form]struct {
		Rows    int
		Columns []string
		Trained bool
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatalf("%v:\n%s", err, stdout.Bytes())
	}
	for form, rows := range want {
		g := got[form]
		if g.Rows != rows || !strings.HasPrefix(strings.Join(g.Columns, " "), columns[form]) {
			t.Errorf("%s: %d rows with columns %s, want %d with %s", form, g.Rows, g.Columns, rows, columns[form])
		}
		if trains := strings.HasPrefix(string(form), "trl-") || form == forms.Parquet; g.Trained != trains {
			t.Errorf("%s: trained %v, want %v", form, g.Trained, trains)
		}
	}
}

// Tables are read as Hugging Face datasets and pyarrow write them, whatever their
// packing, kinds of pages and groups of rows.
func TestReader_readsTablesOfOthers(t *testing.T) {
	home := os.Getenv("RETORT_TEST_HOME")
	if home == "" {
		t.Skip("RETORT_TEST_HOME is not set: no Python environment")
	}
	if testing.Short() {
		t.Skip("it waits for Python")
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), filepath.Join(home, "python", "bin", "python"), "-B", filepath.Join("testdata", "tables.py"), dir)
	cmd.Env = append(os.Environ(), "HF_HOME="+filepath.Join(dir, "hf"), "HF_HUB_OFFLINE=1", "HF_DATASETS_OFFLINE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	var want []dataset.Example
	for n := range 3000 {
		want = append(want, dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User(fmt.Sprintf("q%d", n))},
			Response: fmt.Sprintf("a%d", n), Source: dataset.Source{Kind: forms.KindImport}}))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.parquet"))
	if err != nil || len(files) != 18 {
		t.Fatalf("%d tables, %v", len(files), err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, errs := read(string(text), forms.Auto)
		if diff := cmp.Diff(want, got); diff != "" || errs != nil {
			t.Errorf("%s: %d examples, %v (-want +got):\n%.500s", filepath.Base(path), len(got), errs, diff)
		}
	}
}
