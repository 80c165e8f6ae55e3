package dataset_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"retort/dataset"
	"retort/llm"
)

// newExample makes the n-th example, of about 1 KiB.
func newExample(n int) dataset.Example {
	return dataset.Example{
		Messages:     []llm.Message{llm.System("Answer briefly."), llm.User(fmt.Sprintf("What is %d plus one?", n))},
		Response:     fmt.Sprintf("%d. %s", n+1, strings.Repeat("Because it is so. ", 30)),
		QualityScore: 0.9,
		TaskType:     "reasoning",
		Source:       dataset.Source{Kind: "manual"},
	}
}

func BenchmarkPut(b *testing.B) {
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, b.TempDir())
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for n := int(next.Add(1)); n <= b.N; n = int(next.Add(1)) {
						if _, err := s.Put(b.Context(), newExample(n)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "examples/s")
		})
	}
	b.Run("bulk=1000", func(b *testing.B) {
		s := open(b, b.TempDir())
		n := 0
		for b.Loop() {
			batch := make([]dataset.Example, 1000)
			for i := range batch {
				batch[i] = newExample(n)
				n++
			}
			if _, err := s.Put(b.Context(), batch...); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "examples/s")
	})
}

func BenchmarkAll(b *testing.B) {
	const size = 10_000
	s := open(b, b.TempDir())
	fill(b, s, size)
	for b.Loop() {
		n := 0
		for _, err := range s.All(b.Context(), dataset.Filter{}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != size {
			b.Fatalf("%d examples, want %d", n, size)
		}
	}
	b.ReportMetric(float64(b.N)*size/b.Elapsed().Seconds(), "examples/s")
}

// BenchmarkOpen measures what a short command pays for the store.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir)
	fill(b, s, 10_000)
	shut(b, s)
	for b.Loop() {
		s, err := dataset.Open(dir, dataset.Options{})
		if err != nil {
			b.Fatal(err)
		}
		shut(b, s)
	}
}
