package llamacpp

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"retort/llm"
)

// fewShots is a prompt of many solved examples, about 900 tokens, that ends
// where the request begins. Different which make different prompts.
func fewShots(which int) string {
	topics := []string{"card lost", "card limit", "balance", "transfer", "fee", "exchange rate", "pin", "statement"}
	var b strings.Builder
	fmt.Fprintf(&b, "Sort each request of a bank's customer (set %d) into one of these topics: %s.\n\n", which, strings.Join(topics, ", "))
	for i := range 40 {
		fmt.Fprintf(&b, "Request: please tell me about number %d of the matters with my %s\nTopic: %s\n",
			i*7+which, topics[(i+which)%8], topics[(i+which)%8])
	}
	return b.String()
}

func shotRequest(which, i int) llm.Request {
	return llm.Request{
		Messages: []llm.Message{llm.User(fewShots(which) + fmt.Sprintf("Request: hello, I want to know what happened to the %dth thing I asked for last week\nTopic:", i))},
		Sampling: llm.Sampling{MaxOutputTokens: 5, Stop: []string{"\n"}, Seed: new(int64(i)), Temperature: new(0.7)},
	}
}

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
