package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/dataset/forms"
	"retort/internal/config"
	"retort/llm"
	"retort/models"
	"retort/trainer"
)

// TestSelect_keepsTheDemo: of the demo's short and similar requests none is called
// a duplicate of another, or left out for any other reason.
func TestSelect_keepsTheDemo(t *testing.T) {
	data, err := readDemo(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := retortWith(t, "")
	var examples []dataset.Example
	for _, text := range data.unlabelled {
		ex := dataset.Example{Messages: demoRequest(text).Messages, Response: data.truth[text], QualityScore: 0.9, TaskType: demoTask,
			Source: dataset.Source{Kind: "ensemble", Models: []string{"llamacpp/smollm2-135m-instruct", "llamacpp/gemma-3-270m"}}}
		ex.Source.Terms = r.termsOf(ex.Source.Models)
		if ex = dataset.Identify(ex); ex.Split == dataset.SplitTrain {
			examples = append(examples, ex)
		}
	}
	sel, err := clean.Select(t.Context(), examples, clean.Options{Allowed: r.forbids, HeldOut: heldOutItems("demo", data.heldOut)})
	if err != nil {
		t.Fatal(err)
	}
	if len(examples) < 400 || examples[0].Source.Terms != models.TermsRestricted {
		t.Fatalf("%d examples, terms %q", len(examples), examples[0].Source.Terms)
	}
	for _, e := range sel.Excluded {
		t.Errorf("left out: %+v", e)
	}
}

// TestSelect_keepsTheScripts: the examples that the scripts train on are all kept.
func TestSelect_keepsTheScripts(t *testing.T) {
	r := retortWith(t, "")
	for _, name := range []string{"real_learn", "real_resume", "real_fulldisk"} {
		archive, err := txtar.ParseFile("testdata/script/" + name + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		var (
			examples []dataset.Example
			held     []clean.HeldOut
		)
		for _, f := range archive.Files {
			switch f.Name {
			case "train.jsonl":
				for ex, err := range forms.NewReader(bytes.NewReader(f.Data), forms.OpenAI).All() {
					if err != nil {
						t.Fatal(err)
					}
					examples = append(examples, dataset.Identify(ex))
				}
			case "heldout.jsonl":
				items, err := trainer.ReadItems(bytes.NewReader(f.Data))
				if err != nil {
					t.Fatal(err)
				}
				held = heldOutItems(f.Name, items)
			}
		}
		sel, err := clean.Select(t.Context(), examples, clean.Options{Allowed: r.forbids, HeldOut: held})
		if err != nil {
			t.Fatal(err)
		}
		if len(examples) < 20 || len(sel.Excluded) > 0 {
			t.Errorf("%s: of %d left out: %+v", name, len(examples), sel.Excluded)
		}
	}
}

func TestForbids(t *testing.T) {
	const allowed = "providers: {openai: {enabled: true, allow_training: true}}\n"
	cases := map[string]struct {
		models []string
		terms  string
		config string
		want   string // part of the reason; "" for none
	}{
		"own":                     {terms: models.TermsOpen},
		"imported":                {},
		"restricted, no teacher":  {terms: models.TermsRestricted, want: "names no teacher"},
		"starter":                 {models: []string{"llamacpp/gemma-3-270m"}, terms: models.TermsRestricted},
		"of the registry":         {models: []string{"mine"}, terms: models.TermsRestricted},
		"of Ollama":               {models: []string{"ollama/qwen3:8b"}, terms: models.TermsRestricted},
		"of Ollama's cloud":       {models: []string{"ollama/gpt-oss:120b-cloud"}, terms: models.TermsRestricted, want: "not known"},
		"remote":                  {models: []string{"openai/gpt-4o"}, terms: models.TermsRestricted, want: "allow_training"},
		"remote, allowed":         {models: []string{"openai/gpt-4o"}, terms: models.TermsRestricted, config: allowed},
		"remote, no more allowed": {models: []string{"openai/gpt-4o"}, terms: models.TermsOpen, want: "allow_training"},
		"one of two":              {models: []string{"llamacpp/mine", "openai/gpt-4o"}, terms: models.TermsRestricted, want: "openai/gpt-4o"},
		"of a forgotten provider": {models: []string{"acme/large"}, terms: models.TermsRestricted, want: "not known"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := retortWith(t, c.config)
			why := r.forbids(dataset.Example{Source: dataset.Source{Models: c.models, Terms: c.terms}})
			if (why == "") != (c.want == "") || !strings.Contains(why, c.want) {
				t.Errorf("got %q, want %q", why, c.want)
			}
		})
	}
}

// TestOutgoing_terms: what a provider's terms keep here is not exported, until the
// owner allows it.
func TestOutgoing_terms(t *testing.T) {
	for config, want := range map[string]int{"": 1, "providers: {openai: {allow_training: true}}\n": 2} {
		r := retortWith(t, config)
		store, err := r.store()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		for _, source := range []dataset.Source{{Kind: "manual"}, {Kind: "ensemble", Models: []string{"openai/gpt-4o"}, Terms: models.TermsRestricted}} {
			if _, err := store.Put(t.Context(), dataset.Example{Messages: []llm.Message{llm.User("from " + source.Kind)}, Response: "a",
				QualityScore: 0.9, TaskType: "general", Source: source}); err != nil {
				t.Fatal(err)
			}
		}
		out, err := r.outgoingIn(forms.OpenAI, false)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, err := range out.only(store.All(t.Context(), dataset.Filter{})) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		left, _ := out.count()
		if n != want || n+left != 2 {
			t.Errorf("%q: %d exported, %d left, want %d", config, n, left, want)
		}
	}
}

// retortWith has an empty home with that config.yaml.
func retortWith(t *testing.T, text string) *retort {
	t.Helper()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "config.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{Flags: map[string]string{"home": home}, Getenv: func(string) (string, bool) { return "", false },
		DotEnv: filepath.Join(home, ".env")})
	if err != nil {
		t.Fatal(err)
	}
	return newRetort(t.Context(), &program{stdout: os.Stdout, stderr: os.Stderr}, cfg, false)
}
