package llamacpp

import (
	"math"
	"sync"
)

// logNorm returns the logarithm of the sum of exp over logits: a token's logit
// less this is its log-probability at temperature 1, before any truncation.
func logNorm(logits []float32) float64 {
	top := float32(math.Inf(-1))
	for _, l := range logits {
		if l > top {
			top = l
		}
	}
	if math.IsInf(float64(top), 0) {
		return math.NaN()
	}
	powers := powersOfTwo()
	var sum [4]float64 // so that four additions are under way at once
	for len(logits) >= 4 {
		l := logits[:4:4]
		sum[0] += powers.exp(l[0] - top)
		sum[1] += powers.exp(l[1] - top)
		sum[2] += powers.exp(l[2] - top)
		sum[3] += powers.exp(l[3] - top)
		logits = logits[4:]
	}
	for _, l := range logits {
		sum[0] += powers.exp(l - top)
	}
	return float64(top) + math.Log(sum[0]+sum[1]+sum[2]+sum[3])
}

const (
	expBits = 10 // of the table's index
	expSize = 1 << expBits
	expStep = math.Ln2 / expSize
)

// powerTable holds 2 to the power of i/expSize. With it exp costs less than half of
// math.Exp's, which is most of what a score or a log-probability costs where
// the vocabulary is large.
type powerTable [expSize]float64

var powersOfTwo = sync.OnceValue(func() *powerTable {
	var t powerTable
	for i := range t {
		t[i] = math.Exp2(float64(i) / expSize)
	}
	return &t
})

// exp returns e to the power of d, which is 0 or less, to 11 digits. It is 0
// below -40, where a term is lost in the rounding of a sum, and for NaN.
func (t *powerTable) exp(d float32) float64 {
	if !(d > -40) {
		return 0
	}
	x := float64(d)
	k := int(x * (1 / expStep)) // toward 0: what is left is 0 or less
	r := x - float64(k)*expStep
	power := math.Float64bits(t[k&(expSize-1)]) + uint64(int64(k>>expBits))<<52
	return math.Float64frombits(power) * (1 + r*(1+r*(0.5+r*(1.0/6))))
}
