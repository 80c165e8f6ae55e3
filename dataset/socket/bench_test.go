package socket

import (
	"testing"

	"retort/dataset"
)

// BenchmarkStore compares what a call costs the holder and those who reach it.
func BenchmarkStore(b *testing.B) {
	dir := b.TempDir()
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const n = 10_000
	if _, err := s.Put(b.Context(), newExamples(0, n)...); err != nil {
		b.Fatal(err)
	}
	srv, err := Serve(s, Path(dir))
	if err != nil {
		b.Fatal(err)
	}
	defer srv.Close()
	c, err := Dial(b.Context(), Path(dir))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	fresh := n
	for name, h := range map[string]holder{"held": s, "reached": c} {
		b.Run("get/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := h.Get(b.Context(), newExample(7).ID); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("put/"+name, func(b *testing.B) {
			for b.Loop() {
				fresh++
				if _, err := h.Put(b.Context(), newExample(fresh)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("all/"+name, func(b *testing.B) {
			for b.Loop() {
				for _, err := range h.All(b.Context(), dataset.Filter{Limit: n}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
