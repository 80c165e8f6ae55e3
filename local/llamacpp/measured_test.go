package llamacpp

import (
	"testing"

	"retort/llm"
)

// wild draws evenly from all tokens, so that an end mark comes soon.
func wild(n int) llm.Request {
	return llm.Request{Messages: []llm.Message{llm.User("a prompt that is long enough to be kept, were any kept")},
		Sampling: llm.Sampling{Temperature: new(10.0), TopK: new(0), TopP: new(1.0), Seed: new(int64(3)), MaxOutputTokens: n}}
}

func TestOptions_ignoreEnd(t *testing.T) {
	const limit = 1500
	for _, ignore := range []bool{false, true} {
		m := openTiny(t, tinyModel(t, "llama"), Options{IgnoreEnd: ignore})
		got := collect(t, m, wild(limit)).Usage.OutputTokens
		if (got == limit) != ignore {
			t.Errorf("IgnoreEnd %t: %d tokens of at most %d", ignore, got, limit)
		}
	}
}

func TestOptions_noPrefixes(t *testing.T) {
	for prefixes, want := range map[int]bool{0: true, NoPrefixes: false} {
		m := openTiny(t, tinyModel(t, "llama"), Options{Prefixes: prefixes})
		collect(t, m, wild(1))
		if again := collect(t, m, wild(1)).Usage; (again.CachedTokens > 0) != want {
			t.Errorf("Prefixes %d: %d tokens of the same prompt were cached", prefixes, again.CachedTokens)
		}
	}
}

func TestDevice_steadyKeepsItsThreads(t *testing.T) {
	d := &llamaDevice{steady: true, crew: crew{cores: 2, most: 2, threads: 2}}
	d.muster()
	if !d.crew.at.IsZero() || d.crew.threads != 2 {
		t.Errorf("a steady device looked at the machine: %+v", d.crew)
	}
}
