package llamacpp

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"retort/llm"
)

// BenchmarkSharedPrefix is the main job of an ensemble: many requests over a
// few long prefixes, each with eight short samples.
func BenchmarkSharedPrefix(b *testing.B) {
	for _, id := range []string{smol, gemma} {
		for _, inFlight := range []int{1, 2, 4, 8} {
			b.Run(fmt.Sprintf("%s/%d", id, inFlight), func(b *testing.B) {
				m := testModel(b, id, Options{Template: "plain"})
				for which := range 2 {
					if _, err := llm.CollectN(b.Context(), m, shotRequest(which, 0), 1); err != nil {
						b.Fatal(err)
					}
				}
				cpu := cpuTime()
				b.ResetTimer()
				next := make(chan int)
				var wg sync.WaitGroup
				for range inFlight {
					wg.Go(func() {
						for i := range next {
							if _, err := llm.CollectN(b.Context(), m, shotRequest(i%2, i+1), 8); err != nil {
								b.Error(err)
							}
						}
					})
				}
				for i := range b.N {
					next <- i
				}
				close(next)
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
				b.ReportMetric((cpuTime()-cpu).Seconds()*1000/float64(b.N), "cpu-ms/req")
			})
		}
	}
}

// BenchmarkDecode is one answer to a short prompt.
func BenchmarkDecode(b *testing.B) {
	for _, id := range []string{smol, gemma} {
		b.Run(id, func(b *testing.B) {
			m := testModel(b, id, Options{Template: "plain"})
			tokens := 0
			for b.Loop() {
				tokens += collect(b, m, greedy("Once upon a time", 64)).Usage.OutputTokens
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tok/s")
		})
	}
}

// BenchmarkSystemPrompt reports the time to the first token of a request whose
// system prompt of a thousand tokens another one has had before, in parts of
// what that one took.
func BenchmarkSystemPrompt(b *testing.B) {
	for _, id := range []string{smol, gemma} {
		b.Run(id, func(b *testing.B) {
			m := testModel(b, id, Options{Template: "plain"})
			var first, second time.Duration
			for i := 0; b.Loop(); i++ {
				ask := func(text string) time.Duration {
					req := greedy(text, 1)
					req.Messages = append([]llm.Message{llm.System(fewShots(i) + fewShots(i)[:500])}, req.Messages...)
					return collect(b, m, req).Timing.FirstToken
				}
				first += ask("Tell me of your fees.")
				second += ask("I have lost my card.")
			}
			b.ReportMetric(second.Seconds()/first.Seconds(), "second/first")
		})
	}
}

// BenchmarkScoreFour reports the time that four answers over one prompt take
// to be scored, in parts of what they take one by one over prompts of their own.
func BenchmarkScoreFour(b *testing.B) {
	answers := []string{" account statement", " lost card", " exchange rate", " the limit of my card"}
	for _, id := range []string{smol, gemma} {
		b.Run(id, func(b *testing.B) {
			m := testModel(b, id, Options{Template: "plain"})
			var together, apart time.Duration
			for i := 0; b.Loop(); i++ {
				score := func(which int, answers ...string) time.Duration {
					begun := time.Now()
					if _, err := m.Score(b.Context(), shotRequest(which, i), answers); err != nil {
						b.Fatal(err)
					}
					return time.Since(begun)
				}
				together += score(5*i, answers...)
				for k, a := range answers {
					apart += score(5*i+k+1, a)
				}
			}
			b.ReportMetric(together.Seconds()/apart.Seconds(), "together/apart")
		})
	}
}
