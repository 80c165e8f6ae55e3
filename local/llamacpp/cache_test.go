package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hybridgroup/yzma/pkg/llama"

	"retort/llm"
)

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

// checkSame compares an answer from a used model with one from a new model.
func checkSame(t *testing.T, got, want llm.Response) {
	t.Helper()
	if want.Usage.CachedTokens != 0 {
		t.Errorf("%d cached tokens in a new model", want.Usage.CachedTokens)
	}
	if got.Text != want.Text {
		t.Errorf("%q with the cache, %q without", got.Text, want.Text)
	}
	for i := range min(len(got.Logprobs), len(want.Logprobs)) {
		g, w := got.Logprobs[i], want.Logprobs[i]
		if math.Abs(g.Logprob-w.Logprob) > 0.001 {
			t.Errorf("token %d, %q: log-probability %g with the cache, %g without", i, g.Token, g.Logprob, w.Logprob)
		}
	}
}

// tinyRequest asks for the likeliest answer to text, which is one token a byte.
func tinyRequest(text string) llm.Request {
	req := greedy(text, 8)
	req.Logprobs = 1
	return req
}

// TestModel_cacheChangesNothing asks the same of a new model and of one that
// has answered others, whose prompts share a beginning with it.
func TestModel_cacheChangesNothing(t *testing.T) {
	for _, arch := range []string{"llama", "gemma3"} {
		t.Run(arch, func(t *testing.T) {
			file := tinyModel(t, arch)
			opts := Options{ContextSize: 600, Prefixes: 2, Parallel: 2}
			shots := strings.Repeat("a question and its answer; ", 15)
			want := collect(t, openTiny(t, file, opts), tinyRequest(shots+"now this"))
			m := openTiny(t, file, opts)
			for i := range 4 {
				collect(t, m, tinyRequest(shots+fmt.Sprint("then", i)))
				collect(t, m, tinyRequest(strings.ToUpper(shots)+fmt.Sprint("else", i)))
			}
			got := collect(t, m, tinyRequest(shots+"now this"))
			if c := got.Usage.CachedTokens; c < len(shots) {
				t.Errorf("%d of %d prompt tokens cached, want the examples", c, got.Usage.InputTokens)
			}
			checkSame(t, got, want)
		})
	}
}

// TestModel_slidingWindowKeepsPrefixes goes back into the middle of a cached
// prompt that is far longer than the window, after the engine has had every
// reason to reuse the cells that the prompt's end has left behind.
func TestModel_slidingWindowKeepsPrefixes(t *testing.T) {
	file := tinyModel(t, "gemma3")
	opts := Options{ContextSize: 600, Prefixes: 1, Parallel: 1}
	long := strings.Repeat("the-sea,the-wind;", 25)
	half := tinyRequest(long[:200] + "now this")
	want := collect(t, openTiny(t, file, opts), half)
	m := openTiny(t, file, opts)
	if llama.ModelNSWA(m.handle) == 0 {
		t.Fatal("the model has no sliding window: nothing is tested")
	}
	collect(t, m, tinyRequest(long))
	wander := greedy("x", 580) // comes by every cell of the cache
	for range 3 {
		collect(t, m, wander)
	}
	got := collect(t, m, half)
	if c := got.Usage.CachedTokens; c < 200 {
		t.Errorf("%d cached tokens, want what the prompts share", c)
	}
	checkSame(t, got, want)
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

// TestModel_cancelIsPrompt cancels while the engine computes: the caller is
// free at once, and the engine does not finish what nobody waits for.
func TestModel_cancelIsPrompt(t *testing.T) {
	const promised = 100 * time.Millisecond
	m := testModel(t, smol, Options{Template: "plain"})
	for name, req := range map[string]llm.Request{
		"prompt": greedy(fewShots(5)+fewShots(6), 5),
		"answer": greedy("Once upon a time", 0),
	} {
		caller, engine := time.Hour, time.Hour // the best of a few, for the machine may be busy
		for try := 0; try < 5 && max(caller, engine) > promised; try++ {
			c, e := cancelled(t, m, req)
			caller, engine = min(caller, c), min(engine, e)
		}
		if max(caller, engine) > promised {
			t.Errorf("%s: the caller was free after %v, the engine after %v", name, caller, engine)
		}
	}
}

// cancelled cancels a request that the engine works on, and returns how long after
// that the caller was free, and how long the engine went on.
func cancelled(t *testing.T, m *Model, req llm.Request) (caller, engine time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() {
		_, err := llm.Collect(ctx, m, req)
		ended <- err
	}()
	for m.dev.abort.quit.Load() == nil { // until it decodes
		runtime.Gosched()
	}
	began := time.Now()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	caller = time.Since(began)
	for m.dev.abort.quit.Load() != nil { // until it does not
		runtime.Gosched()
	}
	return caller, time.Since(began)
}
