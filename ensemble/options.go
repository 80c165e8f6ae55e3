package ensemble

import (
	"errors"
	"fmt"
	"time"

	"retort/llm"
)

// Options say how an ensemble works beside its strategy and members. The zero
// value asks every member, waits as long as ctx allows and compares answers by
// their normalised text.
type Options struct {
	// TaskType is what kind of question is asked; routing.Classify finds one out.
	TaskType string

	// Judges compare answers in pairs (best-of-n). A judge that is an
	// llm.Scorer is read by probability, any other by a strict JSON verdict.
	Judges []llm.Model

	// CrossLikelihood has each member that is an llm.Scorer score the answers
	// of the others. It takes one more prefill for each such member.
	CrossLikelihood bool

	// Embedder, if any, tells which answers in prose mean the same.
	Embedder llm.Embedder

	// Fuser writes the answer of the strategy fuse; nil is the best member.
	Fuser llm.Model

	// Timeout ends the wait for members; those that have answered decide if
	// they are Quorum or more. Judges and other helpers have as long again. 0
	// waits as long as ctx allows.
	Timeout time.Duration
	Quorum  int // members that must answer; 0 means 1

	// AllVotes waits for every vote, even when none can change the answer any
	// more. Votes that were not waited for make the answer less sure, so this is
	// for those who act on its confidence.
	AllVotes bool

	// MaxCostUSD bounds what a question may cost. Members that by their price
	// could go beyond it are left out and named, and so is every judge, embedder
	// or fuser that is not on this machine: what these would cost is not known
	// beforehand. 0 is no bound.
	MaxCostUSD float64

	// Calibrate turns raw confidence on a task type into the probability that
	// the answer is right; false means that it cannot yet. nil never can.
	Calibrate func(taskType string, raw float64) (float64, bool)

	// MinConfidence is the confidence below which cascade asks on and every
	// strategy at last returns ErrUnsure instead of an answer. 0: none is.
	MinConfidence float64
}

func (o Options) validate() error {
	switch {
	case o.Quorum < 0 || o.Timeout < 0 || o.MaxCostUSD < 0:
		return errors.New("ensemble: quorum, timeout and cost want 0 or more")
	case !(o.MinConfidence >= 0 && o.MinConfidence <= 1):
		return fmt.Errorf("ensemble: least confidence is %g, want 0 to 1", o.MinConfidence)
	}
	return nil
}

func (o Options) quorum() int { return max(o.Quorum, 1) }

// calibrate returns the confidence to report for raw, and whether it is
// calibrated; agreement stands in where it is not.
func (o Options) calibrate(raw, agreement float64) (float64, bool) {
	if o.Calibrate != nil {
		if p, ok := o.Calibrate(o.TaskType, raw); ok {
			return p, true
		}
	}
	return agreement, false
}
