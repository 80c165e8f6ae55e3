package ensemble

import (
	"slices"
	"time"

	"retort/llm"
)

// Outcome is what an ensemble made of one question.
type Outcome struct {
	Answer       string
	FinishReason llm.FinishReason // of the candidate that gave Answer
	Strategy     Strategy
	TaskType     string

	// Confidence, 0 to 1, is the probability that Answer is right if Calibrated,
	// else the measure that the strategy decided by. Method names how it was got.
	Confidence float64
	Calibrated bool
	Method     string

	Agreement float64 // weighted share, 0 to 1, of the votes that are for Answer
	Signals   Signals // what confidence is made of

	// Agreed: every member asked has Answer as its majority, and none failed.
	Agreed bool

	Members    []MemberResult // in the order of the ensemble's members
	Judges     []JudgeResult  // in the order of Options.Judges, where they were asked
	Candidates []Candidate    // every whole answer: by member, then by sample
	Usage      llm.Usage      // of members, judges and fuser together
	CostUSD    float64
	Elapsed    time.Duration // from the question to the decision
	Notes      []string      // what went otherwise than planned, for people

	key   string // of Answer
	fuser string // ID of the model that wrote Answer from all others; "" if none did
}

// MethodAgreement is the Method of confidence that counts equal answers.
const MethodAgreement = "agreement over normalised answers"

// MemberResult is one member's part in an outcome.
type MemberResult struct {
	Model   string // ID
	Answer  string // what most of its samples say
	Share   float64
	Score   float64       // of Answer, 0 to 1, by the outcome's Method
	Quality float64       // what the member was held to be worth, 0 to 10
	Samples int           // whole answers
	Latency time.Duration // until its last sample was whole
	Usage   llm.Usage
	CostUSD float64
	Err     error // why the member has no part in the answer; nil if it has
	Skipped bool  // the outcome was decided without it: not asked, or cut short

	key string // of Answer
}

// JudgeResult is one judge's part in an outcome.
type JudgeResult struct {
	Model    string
	Compared int // pairs, each in both orders
	Ties     int // of Compared: undecided, or the order decided
	Usage    llm.Usage
	Err      error // why it has no say; nil if it has
}

// Candidate is one whole answer of one member.
type Candidate struct {
	Model        string
	Sample       int
	Text         string
	Key          string  // equal for answers that mean the same
	Score        float64 // of Key, 0 to 1, by the outcome's Method
	FinishReason llm.FinishReason
	Latency      time.Duration
	Usage        llm.Usage
}

// AverageLatency is the mean over the members that answered.
func (o Outcome) AverageLatency() time.Duration {
	var sum time.Duration
	n := 0
	for _, m := range o.Members {
		if m.Samples > 0 {
			sum += m.Latency
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / time.Duration(n)
}

// Models returns the IDs of the models that Answer is from: the members whose
// majority it is, or, if it was fused, the fuser and all that it read.
func (o Outcome) Models() []string {
	var ids []string
	for _, m := range o.Members {
		if m.Backs(o) || o.fuser != "" && m.Samples > 0 {
			ids = append(ids, m.Model)
		}
	}
	if o.fuser != "" && !slices.Contains(ids, o.fuser) {
		ids = append(ids, o.fuser)
	}
	return ids
}

// Backs reports whether most of m's samples say what o answers.
func (m MemberResult) Backs(o Outcome) bool {
	return m.Samples > 0 && m.key == o.key
}

// whole reports whether the answer came to its own end.
func (c Candidate) whole() bool { return c.FinishReason == llm.FinishStop }
