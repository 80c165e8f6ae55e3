package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"retort/llm"
	"retort/llm/llmtest"
)

func TestModel_passesTheExam(t *testing.T) {
	for _, id := range []string{smol, gemma} {
		t.Run(id, func(t *testing.T) {
			llmtest.TestModel(t, func(t *testing.T) llm.Model { return sharedModel(t, id) }, llmtest.Options{})
		})
	}
}

func TestModel_describesItself(t *testing.T) {
	m := testModel(t, smol, Options{ContextSize: 300})
	if d := m.Describe(); d != (llm.Description{ContextSize: 300, Local: true, Formats: true, Logprobs: true}) {
		t.Errorf("Describe = %+v", d)
	}
	if !strings.HasPrefix(m.ID(), "llamacpp/") {
		t.Errorf("ID = %q, want it made of the file's name", m.ID())
	}
	source, digest := m.Template()
	if !strings.Contains(source, "<|im_start|>") || !strings.HasPrefix(digest, "sha256:") {
		t.Errorf("Template = %q, %q; want the file's own", source, digest)
	}
}

func TestModel_refusesImpossibleOptions(t *testing.T) {
	e := testEngine(t)
	for name, opts := range map[string]Options{
		"context beyond training": {ContextSize: 1 << 20},
		"negative":                {Parallel: -1},
		"template":                {Template: "no-such-template"},
		"adapter":                 {Adapters: []Adapter{{Path: "none.gguf", Scale: 1}}},
	} {
		m, err := e.Open(t.Context(), testFile(t, smol), opts)
		if err == nil {
			_ = m.Close()
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error of several lines: %v", name, err)
		}
	}
}

// TestModel_mostAtOnce asks for more sequences than the engine has, of a model that
// needs one more than others do.
func TestModel_mostAtOnce(t *testing.T) {
	m := openTiny(t, tinyModel(t, "gemma3"), Options{ContextSize: 256, Parallel: 1000})
	collect(t, m, tinyRequest("hello"))
}

func TestGenerate_repeatsBySeed(t *testing.T) {
	m := testModel(t, smol, Options{Threads: 1})
	req := greedy("Tell me about the sea.", 8)
	req.Sampling.Temperature, req.Sampling.Seed = new(1.2), new(int64(42))
	texts := func(n int) string {
		out, err := llm.CollectN(t.Context(), m, req, n)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, r := range out {
			all = append(all, r.Text)
		}
		return strings.Join(all, "|")
	}
	texts(1) // from here on the prompt is cached, and all runs compute the same
	first := texts(6)
	if again := texts(6); again != first {
		t.Errorf("the same seeds gave %q and %q", first, again)
	}
	if parts := strings.Split(first, "|"); parts[0] == parts[1] && parts[1] == parts[2] {
		t.Errorf("all seeds gave %q", parts[0])
	}
	*req.Sampling.Seed = 43
	if other := texts(6); other == first {
		t.Error("another seed gave the same answers")
	}
}

// TestGenerate_writesUTF8 draws from the whole vocabulary, which has many
// tokens that are parts of characters.
func TestGenerate_writesUTF8(t *testing.T) {
	for _, id := range []string{smol, gemma} {
		m := sharedModel(t, id)
		req := greedy("😀 ünïcödé 漢字", 24)
		req.Sampling.Temperature, req.Sampling.TopK, req.Sampling.TopP = new(5.0), new(0), new(1.0)
		for ev, err := range m.Generate(t.Context(), req) {
			if err != nil {
				t.Fatal(err)
			}
			if text, ok := ev.(llm.Text); ok && !utf8.ValidString(text.Delta) {
				t.Errorf("%s: delta %q is not UTF-8", id, text.Delta)
			}
		}
	}
}

func TestScore_agreesWithGenerate(t *testing.T) {
	for _, id := range []string{smol, gemma} {
		m := sharedModel(t, id)
		req := greedy("What is the capital of France?", 6)
		req.Logprobs = 3
		resp := collect(t, m, req)
		sum := 0.0
		for _, lp := range resp.Logprobs {
			sum += lp.Logprob
			if math.Abs(lp.Logprob-lp.Top[0].Logprob) > 1e-9 || len(lp.Top) != 3 {
				t.Errorf("%s: greedy token %+v is not the likeliest of three", id, lp)
			}
		}
		scores, err := m.Score(t.Context(), req, []string{resp.Text, resp.Text + " xyzzy", "xyzzy"})
		if err != nil {
			t.Fatal(err)
		}
		if s := scores[0]; math.Abs(s.Logprob-sum) > 0.05 || s.Tokens != len(resp.Logprobs) {
			t.Errorf("%s: score of %q is %+v, its tokens sum to %g over %d", id, resp.Text, s, sum, len(resp.Logprobs))
		}
		if scores[1].Logprob >= scores[0].Logprob || scores[2].Logprob >= scores[0].Logprob {
			t.Errorf("%s: scores %+v, want the first highest", id, scores)
		}
	}
}

func TestModel_namesBothNumbersOfAnOverflow(t *testing.T) {
	m := testModel(t, smol, Options{ContextSize: 256})
	req := greedy(strings.Repeat("word ", 400), 5)
	_, err := llm.Collect(t.Context(), m, req)
	if !errors.Is(err, llm.ErrContextOverflow) {
		t.Fatalf("error %v, want ErrContextOverflow", err)
	}
	tokens, _ := m.Tokenize(req.Messages, "")
	for _, want := range []string{fmt.Sprint(len(tokens.Prompt)), "256"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
	if _, err := m.Score(t.Context(), greedy("hi", 1), []string{strings.Repeat("word ", 400)}); !errors.Is(err, llm.ErrContextOverflow) {
		t.Errorf("score: error %v, want ErrContextOverflow", err)
	}
}

// TestGenerate_endsWithTheContext fills the context to its last token.
func TestGenerate_endsWithTheContext(t *testing.T) {
	m := testModel(t, smol, Options{ContextSize: 64})
	req := greedy("Write a long story about the sea, please.", 0)
	resp := collect(t, m, req)
	if n := resp.Usage.InputTokens + resp.Usage.OutputTokens; n != 64 || resp.FinishReason != llm.FinishLength {
		t.Errorf("%d tokens in all, finish reason %q; want 64 and length", n, resp.FinishReason)
	}
}

// TestModel_mixedLoad asks many things at once and cancels some of them.
func TestModel_mixedLoad(t *testing.T) {
	m := testModel(t, smol, Options{Template: "plain", Parallel: 8, ContextSize: 256})
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range jobs {
				if err := mixed(t.Context(), m, i); err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			}
		})
	}
	for i := range 200 {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
}

// mixed makes one of several kinds of request. A cancelled one may fail so.
func mixed(ctx context.Context, m *Model, i int) error {
	r := rand.New(rand.NewPCG(uint64(i), 9))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req := greedy(fmt.Sprintf("Number %d", i%5), 1+r.IntN(4))
	req.Sampling.Temperature = new(1.0)
	cancels := r.IntN(3) == 0
	if cancels {
		go cancel()
	}
	var err error
	switch i % 4 {
	case 0:
		_, err = llm.Collect(ctx, m, req)
	case 1:
		_, err = llm.CollectN(ctx, m, req, 1+r.IntN(4))
	case 2:
		_, err = m.Score(ctx, req, []string{"one", "two", "one two"})
	case 3: // leave after the first event
		for _, e := range m.Generate(ctx, req) {
			err = e
			break
		}
	}
	if cancels && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func TestModel_closeLeavesNothing(t *testing.T) {
	e := testEngine(t)
	ignore := goleak.IgnoreCurrent()
	m, err := e.Open(t.Context(), testFile(t, smol), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range m.Generate(t.Context(), greedy("hi", 0)) {
		break
	}
	failed := make(chan error)
	started := make(chan struct{})
	go func() {
		var last error
		for _, err := range m.Generate(context.WithoutCancel(t.Context()), greedy("Tell me a very long story.", 0)) {
			if last == nil {
				select {
				case <-started:
				default:
					close(started)
				}
			}
			last = err
		}
		failed <- last
	}()
	<-started
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err != nil && !errors.Is(err, ErrClosed) { // nil if the story was over already
		t.Errorf("the running request: %v, want ErrClosed", err)
	}
	if _, err := llm.Collect(t.Context(), m, greedy("hi", 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("a request after Close: %v, want ErrClosed", err)
	}
	if _, err := m.Tokenize([]llm.Message{llm.User("hi")}, "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("Tokenize after Close: %v, want ErrClosed", err)
	}
	if err := m.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	goleak.VerifyNone(t, ignore)
}
