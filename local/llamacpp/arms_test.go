package llamacpp

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"retort/llm"
)

// armRequests are of several kinds and share beginnings, so that a cache that
// served another adapter's would show.
func armRequests() []llm.Request {
	shots := strings.Repeat("a question and its answer; ", 6)
	var all []llm.Request
	for i := range 12 {
		req := tinyRequest(shots + fmt.Sprint("then ", i%5))
		if i%3 == 0 {
			req = tinyRequest(strings.ToUpper(shots)[:40+i])
		}
		all = append(all, req)
	}
	return all
}

func openArm(t *testing.T, path string, adapters ...Adapter) *Model {
	t.Helper()
	return openTiny(t, path, Options{ContextSize: 512, Prefixes: 2, Parallel: 4, Adapters: adapters})
}

// TestModel_armsAreIsolated answers the same requests with a base and two
// scales of an adapter, each alone in memory and all side by side.
func TestModel_armsAreIsolated(t *testing.T) {
	for _, arch := range []string{"llama", "gemma3"} {
		t.Run(arch, func(t *testing.T) {
			path := tinyModel(t, arch)
			lora, _ := tinyLoRA(t, arch, 8)
			sets := [][]Adapter{nil, {{lora, 1}}, {{lora, 3}}}
			want := make([][]llm.Response, len(sets))
			for i, set := range sets {
				m := openArm(t, path, set...)
				for _, req := range armRequests() {
					want[i] = append(want[i], collect(t, m, req))
				}
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			for i, set := range sets {
				m := openArm(t, path, set...)
				wg.Go(func() { sameAnswers(t, m, want[i]) })
			}
			wg.Wait()
			if want[0][1].Text == want[1][1].Text && want[1][1].Text == want[2][1].Text {
				t.Errorf("all arms say %q: nothing is tested", want[0][1].Text)
			}
		})
	}
}

// sameAnswers asks m for all of armRequests.
func sameAnswers(t *testing.T, m *Model, want []llm.Response) {
	for i, req := range armRequests() {
		got, err := llm.Collect(t.Context(), m, req)
		if err != nil {
			t.Error(err)
			return
		}
		if got.Text != want[i].Text || got.Usage.CachedTokens != want[i].Usage.CachedTokens {
			t.Errorf("request %d: %q with %d tokens cached side by side, %q with %d alone",
				i, got.Text, got.Usage.CachedTokens, want[i].Text, want[i].Usage.CachedTokens)
		}
	}
}

func TestModel_armsShareWeights(t *testing.T) {
	e := testEngine(t)
	path := tinyModel(t, "llama")
	lora, _ := tinyLoRA(t, "llama", 8)
	of, err := identify(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b := openArm(t, path), openArm(t, path, Adapter{lora, 1})
	if a.handle != b.handle || e.weights[of].users != 2 {
		t.Errorf("handles %x and %x, want one with two users", a.handle, b.handle)
	}
	plain := collect(t, a, tinyRequest("hello"))
	if c := collect(t, b, tinyRequest("hello")).Usage.CachedTokens; c != 0 {
		t.Errorf("the second arm took %d tokens from the cache of the first", c)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if again := collect(t, a, tinyRequest("hello")); again.Text != plain.Text {
		t.Errorf("%q after the other arm was closed, %q before", again.Text, plain.Text)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if e.weights[of] != nil {
		t.Error("the weights are still there after the last Close")
	}
}

// TestOpen_failedArmLeavesNothing applies an adapter of another model.
func TestOpen_failedArmLeavesNothing(t *testing.T) {
	e := testEngine(t)
	path := tinyModel(t, "llama")
	lora, _ := tinyLoRA(t, "gemma3", 8)
	a := openArm(t, path)
	if m, err := e.Open(t.Context(), path, Options{Adapters: []Adapter{{lora, 1}}}); err == nil {
		_ = m.Close()
		t.Fatal("an adapter for gemma3 was applied to llama")
	}
	if n := a.weights.users; n != 1 {
		t.Errorf("%d users of the weights, want 1", n)
	}
	collect(t, a, tinyRequest("hello"))
}
