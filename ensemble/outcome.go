package ensemble

import (
	"time"

	"retort/llm"
)

// Outcome is what an ensemble made of one question.
type Outcome struct {
	Answer       string
	FinishReason llm.FinishReason // of the candidate that gave Answer
	Strategy     Strategy

	// Confidence is the share, 0 to 1, of the votes that are for Answer, each
	// vote weighted by its member's quality. Method names how it was got.
	Confidence float64
	Method     string

	// Agreed: every member's majority is Answer, and no member failed.
	Agreed bool

	Members    []MemberResult // in the order of the ensemble's members
	Candidates []Candidate    // every whole answer: by member, then by sample
	Usage      llm.Usage      // of all members together
	CostUSD    float64
	Elapsed    time.Duration // from the question to the decision
}

// MethodAgreement is the Method of confidence that counts equal answers.
const MethodAgreement = "agreement over normalised answers"

// MemberResult is one member's part in an outcome.
type MemberResult struct {
	Model   string // ID
	Answer  string // what most of its samples say
	Share   float64
	Samples int           // whole answers
	Latency time.Duration // until its last sample was whole
	Usage   llm.Usage
	CostUSD float64
	Err     error // why the member has no part in the answer; nil if it has
}

// Candidate is one whole answer of one member.
type Candidate struct {
	Model        string
	Sample       int
	Text         string
	Key          string  // Normalize(Text)
	Score        float64 // weighted share of the votes for Key, 0 to 1
	FinishReason llm.FinishReason
	Latency      time.Duration
	Usage        llm.Usage
}

// AverageLatency is the mean over the members that answered.
func (o Outcome) AverageLatency() time.Duration {
	var sum time.Duration
	n := 0
	for _, m := range o.Members {
		if m.Err == nil {
			sum += m.Latency
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / time.Duration(n)
}

// Models returns the IDs of the members whose majority is the answer.
func (o Outcome) Models() []string {
	var ids []string
	for _, m := range o.Members {
		if m.Err == nil && Normalize(m.Answer) == Normalize(o.Answer) {
			ids = append(ids, m.Model)
		}
	}
	return ids
}
