package ensemble_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"retort/ensemble"
	"retort/llm/llmtest"
)

// topics embeds a text by the words in it that it knows.
type topics struct {
	llmtest.Script
	fail error
}

func (e *topics) Embed(_ context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		out[i] = []float32{0, 1}
		if strings.Contains(text, "sky") {
			out[i] = []float32{1, 0}
		}
	}
	return out, e.fail
}

func TestCluster(t *testing.T) {
	member := func(name, text string) ensemble.Member { return ensemble.Member{Model: script(name, text)} }
	a, b := member("a", "The sky is blue on a clear day."), member("b", "On a clear day, blue is what the sky shows.")
	not := member("c", "The sky is not blue on a clear day.")
	number := member("d", "The sky is blue on 7 clear days.")
	other := member("e", "Grass and leaves are the green things here.")
	meaning := ensemble.Options{Embedder: &topics{}}
	for name, tc := range map[string]struct {
		opts    ensemble.Options
		members []ensemble.Member
		agreed  bool
		method  string
	}{
		"the same in other words": {meaning, []ensemble.Member{a, b}, true, "agreement by meaning (embeddings of script)"},
		"negated":                 {meaning, []ensemble.Member{a, not}, false, "agreement by meaning"},
		"another number":          {meaning, []ensemble.Member{a, number}, false, "agreement by meaning"},
		"another topic":           {meaning, []ensemble.Member{a, other}, false, "agreement by meaning"},
		"no embedder":             {ensemble.Options{}, []ensemble.Member{a, b}, false, ensemble.MethodAgreement},
	} {
		tc.opts.AllVotes = true
		out, err := queryWith(t, tc.opts, ensemble.Vote, tc.members...)
		if err != nil {
			t.Fatal(err)
		}
		if out.Agreed != tc.agreed || !strings.HasPrefix(out.Method, tc.method) {
			t.Errorf("%s: agreed %v by %q", name, out.Agreed, out.Method)
		}
	}
	out, err := queryWith(t, ensemble.Options{AllVotes: true, Embedder: &topics{fail: errors.New("no memory")}}, ensemble.Vote, a, b)
	if err != nil || out.Method != ensemble.MethodAgreement || len(out.Notes) != 1 {
		t.Errorf("%q, notes %q, %v: a failed embedder is named", out.Method, out.Notes, err)
	}
}

// TestCluster_waitsForWhatMayMeanTheSame: that answers in prose differ by their text
// decides nothing while others are still to come.
func TestCluster_waitsForWhatMayMeanTheSame(t *testing.T) {
	const sky, inOtherWords, grass = "The sky is blue on a clear day.", "On a clear day, blue is what the sky shows.", "Grass and leaves are the green things here."
	synctest.Test(t, func(t *testing.T) {
		three := []ensemble.Member{{Model: slow("a", sky, time.Second)}, {Model: slow("b", inOtherWords, 2*time.Second)}, {Model: slow("c", grass, 3*time.Second)}}
		one := ensemble.Member{Model: script("a", sky, inOtherWords, grass), Samples: 3}
		many := ensemble.Member{Model: script("a", grass, grass, grass, sky, inOtherWords, "What the sky has is a blue colour.", "Blue, says whoever looks at the sky."), Samples: 7}
		for name, members := range map[string][]ensemble.Member{"three members": three, "samples of one": {one}} {
			out, err := queryWith(t, ensemble.Options{Embedder: &topics{}}, ensemble.Consensus, members...)
			if !errors.Is(err, ensemble.ErrNoConsensus) || len(out.Candidates) != 3 {
				t.Errorf("%s: %q of %d answers, error %v; want no consensus of 3", name, out.Answer, len(out.Candidates), err)
			}
		}
		out, err := queryWith(t, ensemble.Options{Embedder: &topics{}}, ensemble.Vote, many)
		if err != nil || out.Answer != sky {
			t.Errorf("vote: %q, error %v, want what most say in words of their own", out.Answer, err)
		}
	})
}
