package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/llm"
	"retort/llm/llmtest"
	"retort/models"
	"retort/models/gguf/gguftest"
	"retort/trainer"
)

// left wants a text in some file below the given paths, as raw bytes; with ! in
// none:
//
//	! left TEXT PATH ...
func left(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] left TEXT PATH ...")
	}
	var found []string
	for _, path := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(path), func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if bytes.Contains(data, []byte(args[0])) {
				found = append(found, path)
			}
			return err
		}))
	}
	ts.Logf("%q is in %q", args[0], found)
	if neg && len(found) > 0 || !neg && len(found) == 0 {
		ts.Fatalf("%q is in %q", args[0], found)
	}
}

// trained makes a run as finetune does, of the examples in a file of the format
// retort, and the model STUDENT that could have come of it, over the model base:
//
//	trained RUN STUDENT FILE
func trained(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: trained RUN STUDENT FILE")
	}
	f, err := os.Open(ts.MkAbs(args[2]))
	ts.Check(err)
	defer f.Close()
	home := ts.Getenv("RETORT_HOME")
	var train, held []dataset.Example
	for ex, err := range forms.NewReader(f, forms.Retort).All() {
		ts.Check(err)
		if ex = dataset.Identify(ex); ex.Split == dataset.SplitTrain {
			train = append(train, ex)
		} else {
			held = append(held, ex)
		}
	}
	ts.Check(makeRun(filepath.Join(home, "runs"), args[0], train, testItems(held)))
	ts.Check(makeStudent(filepath.Join(home, "models"), args[1], args[0]))
}

func makeRun(dir, id string, train []dataset.Example, held []trainer.Item) error {
	_, err := trainer.Prepare(context.Background(), dir, trainer.Spec{
		Job:      trainer.Job{ID: id, Base: trainer.Base{ID: "base", GGUF: "base.gguf", Digest: "sha256:00", Architecture: "llama"}, HFBase: "base"},
		Examples: sequence(train), HeldOut: held, Tokenizer: &bytewise{}, Selection: map[string]any{"examples": idsOf(train)}})
	return err
}

func idsOf(examples []dataset.Example) (ids []string) {
	for _, ex := range examples {
		ids = append(ids, ex.ID)
	}
	return ids
}

// bytewise is a tokenizer whose tokens are bytes.
type bytewise struct{ llmtest.Script }

func (*bytewise) Tokenize(messages []llm.Message, completion string) (t llm.Tokens, err error) {
	for _, m := range messages {
		for _, b := range []byte(m.Content) {
			t.Prompt = append(t.Prompt, int32(b))
		}
	}
	for _, b := range []byte(completion) {
		t.Completion = append(t.Completion, int32(b))
	}
	return t, nil
}

// makeStudent adds a tiny adapter to the registry in dir, over a tiny base.
func makeStudent(dir, id, run string) error {
	reg, err := models.Open(dir)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "student-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	base, adapter := filepath.Join(tmp, "base.gguf"), filepath.Join(tmp, "adapter.gguf")
	err = errors.Join(
		os.WriteFile(base, gguftest.File{
			Meta:    []gguftest.Pair{{Key: "general.architecture", Value: "llama"}},
			Tensors: []gguftest.Tensor{gguftest.F32("blk.0.attn_q.weight", []uint64{8, 8}, make([]float32, 64))},
		}.Bytes(), 0o600),
		os.WriteFile(adapter, gguftest.File{
			Meta: []gguftest.Pair{{Key: "general.architecture", Value: "llama"}, {Key: "general.type", Value: "adapter"},
				{Key: "adapter.type", Value: "lora"}, {Key: "adapter.lora.alpha", Value: float32(8)}},
			Tensors: []gguftest.Tensor{gguftest.F32("blk.0.attn_q.weight.lora_a", []uint64{8, 4}, make([]float32, 32)),
				gguftest.F32("blk.0.attn_q.weight.lora_b", []uint64{4, 8}, make([]float32, 32))},
		}.Bytes(), 0o600))
	if err == nil {
		_, err = reg.Import(context.Background(), base, models.ImportOptions{ID: "base"})
	}
	if err == nil {
		_, err = reg.AddAdapter(context.Background(), models.AdapterSpec{ID: id, Parent: "base", File: adapter, Run: run})
	}
	return err
}

func TestForgetWish_choose(t *testing.T) {
	store, err := dataset.Open(t.TempDir(), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	say := func(question, response string, more func(*dataset.Example)) {
		ex := dataset.Example{Messages: []llm.Message{llm.User(question)}, Response: response, QualityScore: 0.9, Source: dataset.Source{Kind: dataset.KindManual}}
		if more != nil {
			more(&ex)
		}
		if _, err := store.Put(t.Context(), ex); err != nil {
			t.Fatal(err)
		}
	}
	say("asks ZEBRA", "1", nil)
	say("a", "says Zebra", nil)
	say("b", "2", func(ex *dataset.Example) { ex.Rejected = []string{"no zebra"} })
	say("c", "3", func(ex *dataset.Example) { ex.Candidates = []dataset.Candidate{{Model: "m", Response: "zebra?"}} })
	say("d", "4", func(ex *dataset.Example) { ex.Source = dataset.Source{Kind: "import", Name: "mine.jsonl"} })
	say("e", "zebra too", func(ex *dataset.Example) {
		ex.Source = dataset.Source{Kind: "ensemble", Models: []string{"llamacpp/gemma"}}
	})
	for name, test := range map[string]struct {
		wish forgetWish
		want string
	}{
		"match":           {forgetWish{match: "zebra"}, "1 says Zebra 2 3 zebra too"},
		"nothing matches": {forgetWish{match: "quagga"}, ""},
		"file":            {forgetWish{source: "mine.jsonl"}, "4"},
		"kind":            {forgetWish{source: "manual"}, "1 says Zebra 2 3"},
		"model":           {forgetWish{source: "gemma"}, "zebra too"},
		"both":            {forgetWish{match: "zebra", source: "ensemble"}, "zebra too"},
		"the same twice":  {forgetWish{ids: []string{idOf("d", "4"), idOf("d", "4")[7:20]}}, "4"},
	} {
		t.Run(name, func(t *testing.T) {
			chosen, err := test.wish.choose(t.Context(), store)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, ex := range chosen {
				got = append(got, ex.Response)
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("chose %q, want %q", got, test.want)
			}
		})
	}
	if _, err := (forgetWish{ids: []string{"ffff"}}).choose(t.Context(), store); !errors.Is(err, dataset.ErrNotFound) {
		t.Errorf("unknown ID: %v", err)
	}
}

func idOf(question, response string) string {
	return dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User(question)}, Response: response}).ID
}
