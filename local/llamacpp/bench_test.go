package llamacpp

import (
	"fmt"
	"sync"
	"testing"

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

// BenchmarkEightSamples is eight answers of 32 tokens to one prompt of 900,
// which is new each time.
func BenchmarkEightSamples(b *testing.B) {
	for _, id := range []string{smol, gemma} {
		b.Run(id, func(b *testing.B) {
			m := testModel(b, id, Options{Template: "plain"})
			for i := 0; b.Loop(); i++ {
				req := shotRequest(i, i)
				req.Sampling.MaxOutputTokens, req.Sampling.Stop = 32, nil
				if _, err := llm.CollectN(b.Context(), m, req, 8); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
