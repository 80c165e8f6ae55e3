package llamacpp

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/llm"
)

func randomLogits(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	l := make([]float32, n)
	for i := range l {
		l[i] = float32(r.NormFloat64() * 4)
	}
	return l
}

func TestLikeliest_agreesWithASort(t *testing.T) {
	logits := randomLogits(3000, 1)
	logits[7], logits[9] = logits[8], logits[8] // ties
	logits[10], logits[11] = float32(math.NaN()), float32(math.Inf(-1))
	var all []candidate
	for i, l := range logits {
		if i != 10 && i != 11 {
			all = append(all, candidate{int32(i), l})
		}
	}
	slices.SortStableFunc(all, byLogit)
	for _, k := range []int{1, 2, 40, 2998, 3000, 5000, 0} {
		want := all
		if k > 0 {
			want = all[:min(k, len(all))]
		}
		if d := cmp.Diff(want, likeliest(nil, logits, k), cmp.AllowUnexported(candidate{})); d != "" {
			t.Errorf("k = %d: %s", k, d)
		}
	}
}

func TestSampler_keeps(t *testing.T) {
	// Probabilities 1/2, 1/4, 1/8, 1/16, 1/16 of the tokens 4, 3, 2, 1, 0.
	logits := make([]float32, 5)
	for i, p := range []float64{1. / 16, 1. / 16, 1. / 8, 1. / 4, 1. / 2} {
		logits[i] = float32(math.Log(p))
	}
	for name, tc := range map[string]struct {
		sampling llm.Sampling
		want     []int32
	}{
		"defaults":         {llm.Sampling{}, []int32{4, 3, 2, 0, 1}},
		"all":              {llm.Sampling{TopK: new(0), TopP: new(1.0)}, []int32{4, 3, 2, 0, 1}},
		"top-k":            {llm.Sampling{TopK: new(2)}, []int32{4, 3}},
		"top-p":            {llm.Sampling{TopP: new(0.6)}, []int32{4, 3}},
		"top-p after k":    {llm.Sampling{TopK: new(2), TopP: new(0.6)}, []int32{4}},
		"min-p":            {llm.Sampling{MinP: new(0.2)}, []int32{4, 3, 2}},
		"greedy":           {llm.Sampling{Temperature: new(0.0)}, []int32{4}},
		"greedy and top-p": {llm.Sampling{Temperature: new(0.0), TopP: new(0.1)}, []int32{4}},
	} {
		s := newSampler(tc.sampling)
		if err := s.read(logits); err != nil {
			t.Fatal(err)
		}
		var got []int32
		for _, c := range s.kept {
			got = append(got, c.token)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestSampler_drawsByTemperature(t *testing.T) {
	logits := []float32{0, float32(math.Log(3)), float32(math.Inf(-1))}
	for _, temperature := range []float64{0.5, 1, 2} {
		s := newSampler(llm.Sampling{Temperature: &temperature, TopP: new(1.0)})
		if err := s.read(logits); err != nil {
			t.Fatal(err)
		}
		r, ones := rand.New(rand.NewPCG(1, 2)), 0
		const n = 20000
		for range n {
			ones += int(s.draw(r))
		}
		odds := math.Pow(3, 1/temperature)
		want := odds / (1 + odds)
		if got := float64(ones) / n; math.Abs(got-want) > 4*math.Sqrt(want*(1-want)/n) {
			t.Errorf("temperature %g: token 1 drawn with %.3f, want %.3f", temperature, got, want)
		}
	}
}

func TestSampler_refusesWhatIsNoDistribution(t *testing.T) {
	nan := float32(math.NaN())
	for _, temperature := range []float64{0, 1} {
		if err := newSampler(llm.Sampling{Temperature: &temperature}).read([]float32{nan, nan}); err == nil {
			t.Errorf("temperature %g: no error for NaN alone", temperature)
		}
	}
}

func TestLogNorm(t *testing.T) {
	logits := randomLogits(1000, 3)
	for i := range logits {
		logits[i] += 300 // exp of it overflows
	}
	norm, sum := logNorm(logits), 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - norm)
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("probabilities sum to %g", sum)
	}
	if !math.IsNaN(logNorm([]float32{float32(math.NaN())})) {
		t.Error("the norm of NaN is a number")
	}
}

func BenchmarkSampler(b *testing.B) {
	logits := randomLogits(262144, 1)
	s, r := newSampler(llm.Sampling{}), rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		_ = s.read(logits)
		for range 8 {
			s.draw(r)
		}
	}
}

func BenchmarkLogNorm(b *testing.B) {
	logits := randomLogits(262144, 1)
	for b.Loop() {
		logNorm(logits)
	}
}

func TestPowerTable_isExp(t *testing.T) {
	powers := powersOfTwo()
	for _, d := range append(randomLogits(5000, 9), 0, -1e-9, -39.99, -40, -41, float32(math.Inf(-1))) {
		d = -float32(math.Abs(float64(d)))
		want := math.Exp(float64(d))
		if d <= -40 {
			want = 0
		}
		if got := powers.exp(d); math.Abs(got-want) > 1e-11*want {
			t.Errorf("exp(%g) = %g, want %g", d, got, want)
		}
	}
	if got := powers.exp(float32(math.NaN())); got != 0 {
		t.Errorf("exp(NaN) = %g, want 0", got)
	}
}
