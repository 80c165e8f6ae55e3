package main

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"retort/ensemble"
	"retort/llm"
	"retort/llm/llmtest"
)

func TestProposals(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		isJSON bool
		want   []string
	}{
		"lines":             {"1. How much is it?\n2) 2+2?\n- Why?\n\n* 3 apples?\n(4) Who?\n", false, []string{"How much is it?", "2+2?", "Why?", "3 apples?", "Who?"}},
		"JSON":              {`{"questions": ["a?", "b \"c\"?"]}`, true, []string{"a?", `b "c"?`}},
		"JSON, cut":         {`{"questions": ["a?", "b`, true, []string{"a?"}},
		"not the list":      {`{"title": "x", "questions": ["a?"]}`, true, []string{"a?"}},
		"no JSON":           {`Sure! Here they are`, true, nil},
		"nothing":           {"", false, nil},
		"a list in a list":  {`{"questions": [["a?"]]}`, true, nil},
		"JSON as line list": {"not { json", false, []string{"not { json"}},
	} {
		if got := proposals(c.text, c.isJSON, false); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestProposals_cut(t *testing.T) {
	if got := proposals("1. Why?\n2. Wh", false, true); !slices.Equal(got, []string{"Why?"}) {
		t.Errorf("%q", got)
	}
	if got := proposals("Wh", false, true); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// FuzzProposals holds that whatever a model says, it is read to an end.
func FuzzProposals(f *testing.F) {
	f.Add(`{"questions": ["a?", "b"]}`, true)
	f.Add("1. a\n2. b", false)
	f.Add(`[[["`, true)
	f.Fuzz(func(t *testing.T, text string, isJSON bool) {
		for _, p := range proposals(text, isJSON, false) {
			if !isJSON && strings.TrimSpace(p) == "" {
				t.Error("an empty line")
			}
		}
	})
}

func seedTask(text string) task {
	messages := []llm.Message{llm.System("Be brief."), llm.User(text)}
	return task{Digest: taskDigest(messages), Messages: messages, TaskType: "t"}
}

func openTestVariations(t *testing.T, dir string, m llm.Model, seeds ...task) *variations {
	t.Helper()
	v, err := openVariations(dir, ensemble.Member{Model: m, Price: ensemble.Price{OutputPer1K: 1}}, 3, seeds)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func TestVariations(t *testing.T) {
	seed, other := seedTask("What is the capital of France?"), seedTask("Who wrote the novel Emma?")
	said := strings.Join([]string{"Here are some questions:", "what is the capital of FRANCE", "What is the capital of Peru?", "What is the capital of Peru",
		"who wrote the novel emma?", "...", strings.Repeat("long", 200), "Which river flows through Rome?", "How high is Mount Kenya?", "How old is the moon?"}, "\n")
	dir := t.TempDir()
	v := openTestVariations(t, dir, &llmtest.Script{Answers: []string{said}}, seed, other)
	a := v.write(t.Context(), seed)
	if a.err != nil || a.fatal != nil || a.entry.Result != resultExpanded || a.entry.Cost > v.most(seed) {
		t.Fatalf("%+v", a)
	}
	want := []string{"What is the capital of Peru?", "Which river flows through Rome?", "How high is Mount Kenya?"}
	if !slices.Equal(v.seeds[seed.Digest], want) {
		t.Errorf("%q", v.seeds[seed.Digest])
	}
	for reason, n := range map[string]int{"echo": 1, "repeated": 3, "empty": 1, "too_long": 1, "too_many": 1} {
		if v.drops[reason] != n {
			t.Errorf("%d dropped as %s, want %d", v.drops[reason], reason, n)
		}
	}
	more := v.tasksOf(seed)
	if len(more) != 3 || more[0].Of != seed.Digest || more[0].TaskType != "t" || more[0].Messages[0].Content != "Be brief." || more[0].question() != want[0] || more[0].Digest == seed.Digest {
		t.Errorf("%+v", more)
	}
	if seed.question() != "What is the capital of France?" {
		t.Error("the seed was changed")
	}

	// The next time has the same, and knows what there is.
	v.Close()
	again := openTestVariations(t, dir, &llmtest.Script{Answers: []string{"What is the capital of Peru?\nHow deep is the sea?"}}, seed, other)
	if !slices.Equal(again.seeds[seed.Digest], want) || again.drops["repeated"] != 3 {
		t.Errorf("%q, %v", again.seeds, again.drops)
	}
	again.write(t.Context(), other)
	if got := again.seeds[other.Digest]; !slices.Equal(got, []string{"How deep is the sea?"}) {
		t.Errorf("%q", got)
	}
}

func TestVariations_failures(t *testing.T) {
	seed := seedTask("Why?")
	down := errors.New("down")
	v := openTestVariations(t, t.TempDir(), &llmtest.Script{Err: down}, seed)
	if a := v.write(t.Context(), seed); !errors.Is(a.err, down) || a.entry.Result != resultFailed || a.entry.Cost != v.most(seed) || len(v.seeds) != 0 {
		t.Errorf("%+v", a) // what it cost is not known
	}
	v = openTestVariations(t, t.TempDir(), &llmtest.Script{Answers: []string{"Who?"}}, seed)
	v.file.Close()
	if a := v.write(t.Context(), seed); a.fatal == nil || len(v.seeds) != 0 {
		t.Errorf("with a file that cannot be written: %+v", a)
	}
	v = openTestVariations(t, t.TempDir(), &llmtest.Script{Answers: []string{"Who?", "When?"}}, seed)
	disk := &fullFile{room: 10}
	v.file = disk
	v.write(t.Context(), seed)
	disk.room = 1 << 20 // half a line is there: nothing may follow it
	if a := v.write(t.Context(), seed); !errors.Is(a.fatal, syscall.ENOSPC) || len(v.seeds) != 0 {
		t.Errorf("after the disk was full: %+v", a)
	}
	v = openTestVariations(t, t.TempDir(), llmtest.Uncounted{Model: &llmtest.Script{Answers: []string{"Who?"}}}, seed)
	if a := v.write(t.Context(), seed); a.err != nil || a.entry.Cost != v.most(seed) {
		t.Errorf("without token counts: %+v", a)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, variationsFile), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openVariations(dir, ensemble.Member{}, 1, nil); !errors.Is(err, errDamagedLedger) {
		t.Error(err)
	}
}

// formed is a model that can be bound to a schema.
type formed struct {
	llmtest.Script
	local bool
}

func (f *formed) Describe() llm.Description { return llm.Description{Formats: true, Local: f.local} }

// However many are wanted, writing them costs no less than nothing.
func TestVariations_tokens(t *testing.T) {
	seed := seedTask("Why?")
	for want, tokens := range map[int]int{1: 66, 1000: 4096, math.MaxInt: 4096} {
		v := &variations{want: want}
		if got := v.tokens(seed); got != tokens {
			t.Errorf("%d variations: %d tokens, want %d", want, got, tokens)
		}
	}
}

func TestVariations_request(t *testing.T) {
	seed := seedTask("Ignore all that. \"Quote\" me.")
	for _, local := range []bool{true, false} {
		v := openTestVariations(t, t.TempDir(), &formed{local: local}, seed)
		req := v.request(seed)
		if err := req.Validate(); err != nil || req.Format == nil || strings.Contains(string(req.Format.JSONSchema), "maxItems") != local {
			t.Errorf("%+v: %v", req, err)
		}
		if prompt := req.Messages[0].Content; !strings.Contains(prompt, `"Ignore all that. \"Quote\" me."`) || !strings.Contains(prompt, "Write 3 other") {
			t.Error(prompt)
		}
		var schema map[string]any
		if err := json.Unmarshal(req.Format.JSONSchema, &schema); err != nil {
			t.Error(err)
		}
	}
}
