package trainer

import (
	"errors"
	"flag"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/llm"
	"retort/llm/llmtest"
)

// words is a model whose tokens are words: the id is the word's length, and an
// answer ends in 0.
type words struct{ llmtest.Script }

func (*words) Tokenize(messages []llm.Message, completion string) (llm.Tokens, error) {
	var t llm.Tokens
	for _, m := range messages {
		t.Prompt = append(t.Prompt, wordIDs(m.Content)...)
	}
	if completion == "untokenizable" {
		return t, errors.New("no such word")
	}
	t.Completion = append(wordIDs(completion), 0)
	return t, nil
}

func wordIDs(text string) (ids []int32) {
	for word := range strings.FieldsSeq(text) {
		ids = append(ids, int32(len(word)))
	}
	return ids
}

func sequence(examples ...dataset.Example) iter.Seq2[dataset.Example, error] {
	return func(yield func(dataset.Example, error) bool) {
		for _, ex := range examples {
			if !yield(ex, nil) {
				return
			}
		}
	}
}

func example(id, question, response string) dataset.Example {
	return dataset.Example{ID: id, Messages: []llm.Message{llm.User(question)}, Response: response, Split: dataset.SplitTrain}
}

func testSpec() Spec {
	return Spec{
		Job: Job{
			ID:      "run-1",
			Base:    Base{ID: "base", GGUF: "/models/base/model.gguf", Digest: "sha256:00", Architecture: "llama"},
			HFBase:  "/cache/sha256-00",
			Hyper:   DefaultHyper(ProfileCPU),
			Profile: ProfileCPU, Threads: 2,
		},
		Examples:  sequence(example("sha256:02", "my card is gone", "lost card"), example("sha256:01", "why <two> fees?", "fees")),
		Tokenizer: &words{},
		HeldOut:   []Item{{Input: "where is my money", Answer: "transfer"}},
	}
}

var update = flag.Bool("update", false, "rewrite the files in testdata")

func TestPrepare_freezesTheRun(t *testing.T) {
	dir := t.TempDir()
	r, err := Prepare(t.Context(), dir, testSpec())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"job.json", "data/train.jsonl", "data/manifest.json", "data/heldout.jsonl"} {
		got, err := os.ReadFile(r.path(name))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", filepath.Base(name))
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if info, err := os.Stat(r.path("run.sh")); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("run.sh: %v, %v; want it executable", info, err)
	}
	if _, err := os.Stat(r.path("run.py")); err != nil {
		t.Error(err)
	}
	opened, err := OpenRun(dir, "run-1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, opened); diff != "" {
		t.Errorf("opened run (-prepared +opened):\n%s", diff)
	}
}

func TestPrepare_keepsHowItWasChosen(t *testing.T) {
	for want, selection := range map[string]any{"": nil, "{\n  \"digest\": \"sha256:01\"\n}\n": map[string]string{"digest": "sha256:01"}} {
		spec := testSpec()
		spec.Selection = selection
		r, err := Prepare(t.Context(), t.TempDir(), spec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(r.path(selectionFile))
		if string(got) != want || (err != nil) != (want == "") {
			t.Errorf("selection.json is %q, %v; want %q", got, err, want)
		}
	}
}

func TestPrepare_orderDoesNotMatter(t *testing.T) {
	one, two := testSpec(), testSpec()
	two.Examples = sequence(example("sha256:01", "why <two> fees?", "fees"), example("sha256:02", "my card is gone", "lost card"))
	a, err := Prepare(t.Context(), t.TempDir(), one)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Prepare(t.Context(), t.TempDir(), two)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.Data, b.Data); diff != "" {
		t.Errorf("data differ:\n%s", diff)
	}
}

func TestPrepare_dropsLongExamplesByName(t *testing.T) {
	spec := testSpec()
	spec.Job.Train.MaxLength = 5 // the other has seven tokens
	r, err := Prepare(t.Context(), t.TempDir(), spec)
	if err != nil {
		t.Fatal(err)
	}
	want := []Dropped{{ID: "sha256:02", Tokens: 7}}
	if diff := cmp.Diff(want, r.Data.Dropped); diff != "" || len(r.Data.Examples) != 1 {
		t.Errorf("%d kept, dropped (-want +got):\n%s", len(r.Data.Examples), diff)
	}
}

func TestPrepare_refuses(t *testing.T) {
	broken := errors.New("store is damaged")
	for name, tc := range map[string]struct {
		spoil func(*Spec)
		want  string
	}{
		"a held-out example": {func(s *Spec) {
			ex := example("sha256:03", "a", "b")
			ex.Split = dataset.SplitHeldOut
			s.Examples = sequence(ex)
		}, "example sha256:03 belongs to the held-out side"},
		"a held-out question": {func(s *Spec) { s.Examples = sequence(example("sha256:03", " where is my money\n", "b")) },
			"example sha256:03 asks what a held-out item asks"},
		"no examples":   {func(s *Spec) { s.Examples = sequence() }, "no examples to train on (0 were longer than 1024 tokens)"},
		"only long":     {func(s *Spec) { s.Job.Train.MaxLength = 2 }, "no examples to train on (2 were longer than 2 tokens)"},
		"no messages":   {func(s *Spec) { s.Examples = sequence(dataset.Example{ID: "sha256:03"}) }, "example sha256:03 has no messages"},
		"tokenizer":     {func(s *Spec) { s.Examples = sequence(example("sha256:03", "a", "untokenizable")) }, "example sha256:03: no such word"},
		"broken store":  {func(s *Spec) { s.Examples = func(y func(dataset.Example, error) bool) { y(dataset.Example{}, broken) } }, "read examples: store is damaged"},
		"a path as ID":  {func(s *Spec) { s.Job.ID = "../x" }, "id: want letters, digits, '.', '_' and '-'"},
		"learning rate": {func(s *Spec) { s.Job.Train.LearningRate = 2 }, "learning_rate: want above 0 and below 1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			spec := testSpec()
			tc.spoil(&spec)
			_, err := Prepare(t.Context(), dir, spec)
			if err == nil || !strings.HasSuffix(err.Error(), `": `+tc.want) {
				t.Errorf("error %v, want …%s", err, tc.want)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestPrepare_keepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	if _, err := Prepare(t.Context(), dir, testSpec()); err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(t.Context(), dir, testSpec()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v, want ErrExist", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d entries, want the first run alone", len(entries))
	}
}

func TestListRuns_showsWhatCanBeRead(t *testing.T) {
	dir := t.TempDir()
	for _, id := range []string{"b", "a", "damaged", "renamed"} {
		spec := testSpec()
		spec.Job.ID = id
		if _, err := Prepare(t.Context(), dir, spec); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "damaged", "job.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "renamed"), filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, ".prepare-123"), 0o700); err != nil {
		t.Fatal(err)
	}
	runs, err := ListRuns(dir)
	var ids []string
	for _, r := range runs {
		ids = append(ids, r.ID)
	}
	if diff := cmp.Diff([]string{"a", "b"}, ids); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	if err == nil || !strings.Contains(err.Error(), `"damaged"`) || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("error %v, want the two that are not sound", err)
	}
	if runs, err := ListRuns(filepath.Join(dir, "nowhere")); err != nil || runs != nil {
		t.Errorf("no directory: %v, %v", runs, err)
	}
}

func TestOpenRun_unknown(t *testing.T) {
	for _, id := range []string{"missing", "", "..", "../etc", "/etc"} {
		if _, err := OpenRun(t.TempDir(), id); !errors.Is(err, ErrNoRun) {
			t.Errorf("OpenRun(%q): %v, want ErrNoRun", id, err)
		}
	}
}

func TestDetectProfile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CUDA_VISIBLE_DEVICES", "0")
	pattern := filepath.Join(dir, "nvidia[0-9]*")
	if got := detectProfile(pattern); got != ProfileCPU {
		t.Errorf("without a device: %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "nvidia3"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := detectProfile(pattern); got != ProfileCUDA {
		t.Errorf("with a device: %q", got)
	}
	for _, hidden := range []string{"", "-1"} {
		t.Setenv("CUDA_VISIBLE_DEVICES", hidden)
		if got := detectProfile(pattern); got != ProfileCPU {
			t.Errorf("with a device that CUDA_VISIBLE_DEVICES=%q hides: %q", hidden, got)
		}
	}
}
