package ensemble

import "math"

// Signals are what an ensemble can tell of how sure its answer is. Each is from
// 0 (doubt) to 1 (certainty), but for Length; those that were not measured are
// nil.
type Signals struct {
	Agreement       float64  `json:"agreement"`        // weighted share of the votes for the answer
	Margin          float64  `json:"margin"`           // that share less the next answer's
	Concentration   float64  `json:"concentration"`    // 1 less the normalised entropy over meanings
	JudgeMargin     *float64 `json:"judge_margin"`     // by how much judges prefer the answer to the next
	CrossLikelihood *float64 `json:"cross_likelihood"` // share of the answer by what other members find likely

	// Length is the logarithm of the answer's length over the mean length of all
	// answers. It is a covariate: an outlier in either direction is less sure.
	Length float64 `json:"length"`
}

// lengthDoubt is how much an answer e times as long or as short as the others
// lowers raw confidence, as a share of it.
const lengthDoubt = 0.1

// Raw joins the signals to one number, 0 to 1: their mean, lowered for an
// outlier in length. It orders answers by how sure they are; what probability
// it stands for is for calibration to say.
func (s Signals) Raw() float64 {
	sum, n := s.Agreement+s.Margin+s.Concentration, 3.0
	for _, extra := range []*float64{s.JudgeMargin, s.CrossLikelihood} {
		if extra != nil {
			sum += *extra
			n++
		}
	}
	return sum / n * (1 - lengthDoubt*min(math.Abs(s.Length), 1))
}

// signals measures the answer that was settled on.
func (q *query) signals(t tally) Signals {
	s := Signals{Agreement: t.share(q.top.Key)}
	next, entropy, mass := 0.0, 0.0, 0.0
	for key := range t.weight {
		p := t.share(key)
		mass += p
		if key != q.top.Key {
			next = max(next, p)
		}
		if p > 0 {
			entropy -= p * math.Log(p)
		}
	}
	s.Margin = max(0, s.Agreement-next)
	s.Concentration = 1
	if n := q.voices(); n > 1 && mass > 0 {
		s.Concentration = max(0, 1-entropy/math.Log(n))
	}
	if len(q.judge) > 0 {
		s.JudgeMargin = &q.judge[0]
	}
	if len(q.cross) > 0 {
		s.CrossLikelihood = &q.cross[0]
	}
	s.Length = q.lengthRatio()
	return s
}

// voices is over how many answers the votes could be spread.
func (q *query) voices() float64 {
	n := 0
	for i, p := range q.parts {
		if p.spread != nil {
			n = max(n, len(q.members[i].Choices))
			continue
		}
		n += len(p.candidates)
	}
	return float64(n)
}

func (q *query) lengthRatio() float64 {
	sum, n := 0, 0
	for _, p := range q.parts {
		for _, c := range p.candidates {
			sum += len(c.Text)
			n++
		}
	}
	if sum == 0 || len(q.top.Text) == 0 {
		return 0
	}
	return math.Log(float64(len(q.top.Text)) * float64(n) / float64(sum))
}
