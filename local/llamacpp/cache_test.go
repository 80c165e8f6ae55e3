package llamacpp

import (
	"fmt"
	"math"
	"testing"

	"retort/llm"
)

// maxBatchNats is how far a log-probability may move because the same tokens
// were decoded in batches of another shape: the engine quantizes activations,
// and rounds them differently then.
const maxBatchNats = 0.15

// fewShots is a prompt of many solved examples, about 900 tokens, that ends
// where the request begins. Different which make different prompts.
func fewShots(which int) string {
	topics := []string{"card lost", "card limit", "balance", "transfer", "fee", "exchange rate", "pin", "statement"}
	text := fmt.Sprintf("Requests of a bank's customers (list %d) and their topics.\n\n", which)
	for i := range 45 {
		topic := topics[(i+which)%8]
		text += fmt.Sprintf("Request: tell me about number %d of the matters with my %s\nTopic: %s\n", i*7+which, topic, topic)
	}
	return text
}

// shotRequest asks for the topic of one request after the examples.
func shotRequest(which, i int) llm.Request {
	topic := []string{"pin code", "balance", "account statement", "lost card", "transfer"}[i%5]
	return llm.Request{
		Messages: []llm.Message{llm.User(fewShots(which) + fmt.Sprintf("Request: hello, this is my call number %d about the %s\nTopic:", i, topic))},
		Sampling: llm.Sampling{MaxOutputTokens: 5, Stop: []string{"\n"}, Seed: new(int64(i))},
	}
}

// TestModel_cacheChangesNothing asks the same with and without cached prefixes,
// with other requests in between that take the memory which sliding-window
// attention would give away.
func TestModel_cacheChangesNothing(t *testing.T) {
	for _, id := range []string{smol, gemma} {
		t.Run(id, func(t *testing.T) {
			ask := func(m *Model, which, i int) llm.Response {
				req := shotRequest(which, i)
				req.Sampling.Temperature, req.Sampling.Stop, req.Logprobs = new(0.0), nil, 1
				return collect(t, m, req)
			}
			fresh := testModel(t, id, Options{Template: "plain"})
			want := ask(fresh, 1, 3)
			if want.Usage.CachedTokens != 0 {
				t.Errorf("%d cached tokens in a new model", want.Usage.CachedTokens)
			}
			used := testModel(t, id, Options{Template: "plain"})
			for i := range 3 {
				ask(used, 1, i)
				ask(used, 2, i)
			}
			got := ask(used, 1, 3)
			if c := got.Usage.CachedTokens; c < 800 {
				t.Errorf("%d of %d prompt tokens cached, want the examples", c, got.Usage.InputTokens)
			}
			if got.Text != want.Text {
				t.Errorf("%q with the cache, %q without", got.Text, want.Text)
			}
			for i := range min(len(got.Logprobs), len(want.Logprobs)) {
				if d := math.Abs(got.Logprobs[i].Logprob - want.Logprobs[i].Logprob); d > maxBatchNats {
					t.Errorf("token %d: log-probability %g with the cache, %g without", i, got.Logprobs[i].Logprob, want.Logprobs[i].Logprob)
				}
			}
		})
	}
}

// TestModel_slidingWindowKeepsPrefixes goes back to the beginning of a cached
// prompt that is far longer than the window, after other requests have had
// every reason to take its cells.
func TestModel_slidingWindowKeepsPrefixes(t *testing.T) {
	m := testModel(t, gemma, Options{Template: "plain", Prefixes: 2, Parallel: 2, ContextSize: 1500})
	if m.dev.guard == 0 {
		t.Fatal("the model has no sliding window: nothing is tested")
	}
	words := fewShots(1)
	cut := len(words) / 2
	half := greedy(words[:cut]+"\nRequest: my pin\nTopic:", 3)
	half.Logprobs = 1
	fresh := testModel(t, gemma, Options{Template: "plain"})
	want := collect(t, fresh, half)
	collect(t, m, greedy(words+"Request: x\nTopic:", 30))
	collect(t, m, greedy("Something else entirely, please. "+words[:300], 30))
	got := collect(t, m, half)
	if got.Usage.CachedTokens < 300 {
		t.Errorf("%d cached tokens, want the first half of the examples", got.Usage.CachedTokens)
	}
	for i := range min(len(got.Logprobs), len(want.Logprobs)) {
		if d := math.Abs(got.Logprobs[i].Logprob - want.Logprobs[i].Logprob); d > maxBatchNats {
			t.Errorf("token %d: log-probability %g with the cache, %g without", i, got.Logprobs[i].Logprob, want.Logprobs[i].Logprob)
		}
	}
}

func TestModel_samplesShareOnePrefill(t *testing.T) {
	m := testModel(t, smol, Options{Template: "plain"})
	out, err := llm.CollectN(t.Context(), m, shotRequest(3, 1), 4)
	if err != nil {
		t.Fatal(err)
	}
	computed := 0
	for _, r := range out {
		computed += r.Usage.InputTokens - r.Usage.CachedTokens
	}
	if n := out[0].Usage.InputTokens; computed != n {
		t.Errorf("%d prompt tokens computed for 4 samples, want %d once", computed, n)
	}
}
