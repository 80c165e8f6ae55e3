package trainer

import "math"

// wilson returns the 95 % score interval of the proportion k of n (E. B.
// Wilson, 1927). Unlike the textbook interval it holds near 0 and 1.
func wilson(k, n int) (low, high float64) {
	const z = 1.959963984540054 // the normal distribution's 97.5 % point
	if n == 0 {
		return 0, 1
	}
	p, m := float64(k)/float64(n), float64(n)
	centre := p + z*z/(2*m)
	spread := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	scale := 1 + z*z/m
	return max(0, (centre-spread)/scale), min(1, (centre+spread)/scale)
}

// mcnemar returns the probability of at least so many wins among wins+losses
// when each is as likely as the other: the exact one-sided test of Q. McNemar
// (1947). It is 1 without wins.
func mcnemar(wins, losses int) float64 {
	n := wins + losses
	// Logarithms, since the terms of a large n are below the smallest float.
	logFactorial := func(k int) float64 {
		v, _ := math.Lgamma(float64(k) + 1)
		return v
	}
	p := 0.0
	for k := n; k >= wins; k-- { // the smallest terms first
		p += math.Exp(logFactorial(n) - logFactorial(k) - logFactorial(n-k) - float64(n)*math.Ln2)
	}
	return min(1, p)
}
