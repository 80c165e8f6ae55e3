package llamacpp

import "math"

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
	sum := 0.0
	for _, l := range logits {
		// Anything further down is lost in the rounding of the sum.
		if d := l - top; d > -40 {
			sum += math.Exp(float64(d))
		}
	}
	return float64(top) + math.Log(sum)
}
