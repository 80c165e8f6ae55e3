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
				m := testModel(b, id, Options{Template: "plain", Threads: 1})
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
