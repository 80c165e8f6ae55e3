package llamacpp

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"retort/llm"
)

// TestGenerate_logprobsStayWithTheirText asks for many answers at once, some of
// which a stop text ends, and wants each event's tokens to be those of its text.
func TestGenerate_logprobsStayWithTheirText(t *testing.T) {
	for _, id := range []string{smol, gemma} {
		m := sharedModel(t, id)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				req := greedy(fmt.Sprintf("Count %d 😀 漢字 ünïcödé:", i), 16)
				req.Sampling.Temperature, req.Sampling.Seed = new(1.5), new(int64(i))
				req.Logprobs = 2
				if i%2 == 0 {
					req.Sampling.Stop = []string{"a", "\n"}
				}
				checkAlignment(t, m, req)
			})
		}
		wg.Wait()
	}
}

func checkAlignment(t *testing.T, m *Model, req llm.Request) {
	text, tokens, n := "", "", 0
	var done llm.Done
	for ev, err := range m.Generate(t.Context(), req) {
		if err != nil {
			t.Error(err)
			return
		}
		switch ev := ev.(type) {
		case llm.Text:
			text += ev.Delta
			for _, lp := range ev.Logprobs {
				tokens += lp.Token
				n++
				if len(lp.Top) != 2 || lp.Top[0].Logprob < lp.Top[1].Logprob || lp.Logprob > 0 || lp.Logprob > lp.Top[0].Logprob+1e-9 {
					t.Errorf("token %+v", lp)
				}
			}
			if !utf8.ValidString(ev.Delta) {
				t.Errorf("delta %q", ev.Delta)
			}
		case llm.Done:
			done = ev
		}
	}
	for _, stop := range req.Sampling.Stop {
		if strings.Contains(text, stop) {
			t.Errorf("%q shows the stop text %q", text, stop)
		}
	}
	if !utf8.ValidString(tokens) { // a character was cut at the end
		return
	}
	if whole := strings.TrimPrefix(tokens, m.template.lead); !strings.HasPrefix(whole, text) {
		t.Errorf("text %q, tokens %q", text, tokens)
	}
	// A stop text takes its tokens with it, and so does one of the template's.
	if done.FinishReason == llm.FinishLength && n != done.Usage.OutputTokens {
		t.Errorf("%d log-probabilities of %d tokens", n, done.Usage.OutputTokens)
	}
}
