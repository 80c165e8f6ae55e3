package clean

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"retort/dataset"
	"retort/llm"
)

// pair returns two random sets of exactly this many shared and own members.
func pair(rng *rand.Rand, shared, own int) (a, b []uint32) {
	for range shared {
		x := rng.Uint32()
		a, b = append(a, x), append(b, x)
	}
	for range own {
		a, b = append(a, rng.Uint32()), append(b, rng.Uint32())
	}
	return a, b
}

// TestIndex_recall: of 2,000 pairs of sets whose Jaccard similarity is 0.8, 95 %
// or more are found, and of those at 0.3 few are looked at.
func TestIndex_recall(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const pairs = 2000
	for _, c := range []struct {
		shared, own int // similarity shared / (shared + 2 own)
		low, high   float64
	}{
		{80, 10, 0.95, 1}, // 0.8
		{90, 5, 0.99, 1},  // 0.9
		{60, 20, 0, 0.75}, // 0.6
		{30, 35, 0, 0.05}, // 0.3
	} {
		found := 0
		for range pairs {
			a, b := pair(rng, c.shared, c.own)
			sa, sb := sign(a), sign(b)
			var x index
			x.add(0, &sa)
			x.candidates(&sb, func(int) bool { found++; return true })
		}
		share := float64(found) / pairs
		similarity := float64(c.shared) / float64(c.shared+2*c.own)
		t.Logf("at %.2f: %.4f found", similarity, share)
		if share < c.low || share > c.high {
			t.Errorf("at similarity %.2f: %.3f found, want %.2f to %.2f", similarity, share, c.low, c.high)
		}
	}
}

// TestDropNear_recall compares with all pairs: every near duplicate of a kept text
// that an exact search finds is to be found by the index.
func TestDropNear_recall(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var examples []dataset.Example
	for i := range 300 {
		w := make([]string, 60)
		for j := range w {
			w[j] = fmt.Sprintf("w%d", rng.IntN(3000))
		}
		examples = append(examples, asked(strings.Join(w, " "), fmt.Sprint("a", i)))
		for v := range 3 {
			c := append([]string{}, w...)
			for range 1 + v {
				c[rng.IntN(len(c))] = fmt.Sprintf("w%d", rng.IntN(3000))
			}
			examples = append(examples, asked(strings.Join(c, " "), fmt.Sprint("a", i)))
		}
	}
	exact := 0
	var kept [][]uint32
	for _, ex := range examples {
		set := shingle(ex, nil).set
		repeated := false
		for _, k := range kept {
			repeated = repeated || jaccard(set, k) >= 0.8
		}
		if repeated {
			exact++
		} else {
			kept = append(kept, set)
		}
	}
	s := &selector{opts: Options{Parameters: Parameters{}.orDefault()}}
	s.dropNear(examples)
	recall := float64(len(s.excluded)) / float64(exact)
	t.Logf("%d of %d", len(s.excluded), exact)
	if recall < 0.95 || exact < 200 {
		t.Errorf("recall %.3f of %d, want 0.95", recall, exact)
	}
}

func asked(question, response string) dataset.Example {
	return dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User(question)}, Response: response, QualityScore: 0.9})
}

func TestLikeness_estimates(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, shared := range []int{0, 25, 50, 75, 100} {
		sum := 0.0
		const rounds = 200
		for range rounds {
			a, b := pair(rng, shared, 100-shared)
			sa, sb := sign(a), sign(b)
			sum += sa.likeness(&sb)
		}
		want := float64(shared) / float64(200-shared)
		if got := sum / rounds; math.Abs(got-want) > 0.02 {
			t.Errorf("estimated %.3f, want %.3f", got, want)
		}
	}
}

func TestJaccard(t *testing.T) {
	for _, c := range []struct {
		a, b []uint32
		want float64
	}{
		{nil, nil, 0},
		{[]uint32{1}, nil, 0},
		{[]uint32{1, 2}, []uint32{1, 2}, 1},
		{[]uint32{1, 2, 3}, []uint32{2, 3, 4}, 0.5},
	} {
		if got := jaccard(c.a, c.b); got != c.want {
			t.Errorf("jaccard(%v, %v) is %g, want %g", c.a, c.b, got, c.want)
		}
	}
}

// BenchmarkNearDuplicates finds the near duplicates among 100,000 texts of 50
// words, one in five of which nearly repeats another.
func BenchmarkNearDuplicates(b *testing.B) {
	const texts = 100_000
	rng := rand.New(rand.NewPCG(9, 10))
	examples := make([]dataset.Example, 0, texts)
	var last []string
	for i := range texts {
		w := make([]string, 50)
		for j := range w {
			w[j] = fmt.Sprintf("w%d", rng.IntN(20000))
		}
		if i%5 == 4 {
			w = append(last[:0:0], last...)
			w[rng.IntN(len(w))] = "other"
		}
		last = w
		examples = append(examples, asked(strings.Join(w, " "), "ok"))
	}
	b.ReportAllocs()
	for b.Loop() {
		if found := NearDuplicates(examples, Parameters{}); len(found) < texts/5*95/100 {
			b.Fatalf("%d found", len(found))
		}
	}
	b.ReportMetric(float64(texts)*float64(b.N)/b.Elapsed().Seconds(), "texts/s")
}
