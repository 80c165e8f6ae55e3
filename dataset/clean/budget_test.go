package clean_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/llm"
)

// mapped is an Embedder that knows where each text lies.
type mapped struct {
	llm.Model
	at  map[string][]float32
	err error
}

func (m mapped) ID() string { return "map" }

func (m mapped) Embed(_ context.Context, texts []string) ([][]float32, error) {
	var out [][]float32
	for _, t := range texts {
		out = append(out, m.at[t])
	}
	return out, m.err
}

func TestBudget_diversity(t *testing.T) {
	at := map[string][]float32{"north": {0, 1}, "north too": {0, 1}, "north again": {0, 1}, "east": {1, 0}, "south": {0, -1}}
	var examples []dataset.Example
	for text := range at {
		examples = append(examples, with(example(text, "a"), func(ex *dataset.Example) {
			if ex.QualityScore = 0.9; text == "east" || text == "south" {
				ex.QualityScore = 0.7
			}
		}))
	}
	s := selected(t, examples, clean.Options{Parameters: clean.Parameters{Budget: 3}, Embedder: mapped{at: at}})
	got := map[string]bool{}
	for _, ex := range s.Kept {
		got[ex.Messages[0].Content[:4]] = true
	}
	if len(got) != 3 || s.Manifest.Excluded[clean.OverBudget] != 2 || s.Manifest.Embedder != "map" {
		t.Errorf("chosen %v, %+v", got, s.Manifest)
	}
}

func TestBudget_words(t *testing.T) {
	var examples []dataset.Example
	for i := range 20 {
		examples = append(examples, example(fmt.Sprintf("please clean room number %d", i), "cleaning"))
	}
	other := with(example("wifi password?", "wifi"), func(ex *dataset.Example) { ex.QualityScore = 0.75 })
	s := selected(t, append(examples, other), clean.Options{Parameters: clean.Parameters{Budget: 2}})
	if len(s.Kept) != 2 || s.Kept[0].ID != other.ID && s.Kept[1].ID != other.ID {
		t.Errorf("the only other question was not chosen: %v", s.Manifest.Examples)
	}
}

func TestBudget_difficulty(t *testing.T) {
	hard := with(example("b", "yes"), func(ex *dataset.Example) {
		ex.Candidates = []dataset.Candidate{{Response: "Yes!"}, {Response: "no"}, {Error: "timeout"}}
	})
	if got := clean.Difficulty(hard); got != 0.5 {
		t.Errorf("difficulty %g, want 0.5", got)
	}
	s := selected(t, []dataset.Example{example("a", "yes"), hard, example("c", "yes")}, clean.Options{Parameters: clean.Parameters{Budget: 1}})
	if s.Kept[0].ID != hard.ID {
		t.Error("the one that the models did not agree on was not chosen")
	}
}

func TestBudget_replay(t *testing.T) {
	var examples []dataset.Example
	old := map[string]bool{}
	for i := range 40 {
		ex := with(example(fmt.Sprint("question ", i), "a"), func(ex *dataset.Example) { ex.QualityScore = float64(40+i) / 80 })
		old[ex.ID] = i < 20 // the worse half
		examples = append(examples, ex)
	}
	replay := func(ex dataset.Example) bool { return old[ex.ID] }
	s := selected(t, examples, clean.Options{Parameters: clean.Parameters{Budget: 10, ReplayShare: 0.3}, Replay: replay})
	n := 0
	for _, ex := range s.Kept {
		if replay(ex) {
			n++
		}
	}
	if len(s.Kept) != 10 || n < 3 {
		t.Errorf("%d of %d are replayed, want 3 or more of 10", n, len(s.Kept))
	}
}

func TestBudget_embedderFails(t *testing.T) {
	bad := errors.New("engine lost")
	examples := []dataset.Example{example("a", "1"), example("b", "2")}
	opts := clean.Options{Parameters: clean.Parameters{Budget: 1}, Embedder: mapped{err: bad}}
	if _, err := clean.Select(t.Context(), examples, opts); !errors.Is(err, bad) {
		t.Errorf("got %v", err)
	}
}

// TestTriggers: a trigger that was planted in a few of many examples is shown
// first; those examples say different things otherwise.
func TestTriggers(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	var examples []dataset.Example
	for i, d := range synthetic(rng, 200, 12) {
		text := d.text
		switch {
		case i%40 == 0:
			text += " glimmering zanzibar protocol"
		case i%40 == 1:
			text = "cf7q " + text
		}
		examples = append(examples, example("the guest says "+text, "ok"))
	}
	found := map[string]clean.Trigger{}
	for _, tr := range clean.Triggers(examples) {
		found[tr.Text] = tr
	}
	if tr := found["glimmering zanzibar protocol"]; tr.Count != 5 || len(tr.Examples) != 5 || tr.Score < 0.9 {
		t.Errorf("planted phrase: %+v", tr)
	}
	if tr := found["cf7q"]; tr.Count != 5 {
		t.Errorf("planted word: %+v", tr)
	}
	if tr, ok := found["the guest"]; ok {
		t.Errorf("what all share is called rare: %+v", tr)
	}
	if got := clean.Triggers(examples[:10]); got != nil {
		t.Errorf("rare among ten: %v", got)
	}
}
