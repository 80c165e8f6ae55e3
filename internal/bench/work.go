package bench

import (
	"context"
	"time"
)

// Sample is what one arm did in one round. Fields that an arm does not measure
// are 0.
type Sample struct {
	First  time.Duration // from the request to the first text
	Total  time.Duration // to the end of the work
	Input  int           // tokens of the prompt
	Output int           // tokens of all answers

	Values map[string]float64 // what the arm measures otherwise
}

// Arm is one side of a comparison.
type Arm struct {
	Name string

	// Settle does a little of the same kind of work before the clock runs,
	// so that each arm starts awake, whatever ran before it. It may be nil.
	Settle func(ctx context.Context) error

	// Run does the work of a round. Rounds below 0 are warm-ups. Equal rounds
	// are equal work for all arms, and no two rounds share a prompt.
	Run func(ctx context.Context, round int) (Sample, error)
}

// Work is one piece of work and those that do it.
type Work struct {
	Name    string
	Arms    []Arm
	Ordered bool // the arms build on each other: their order stays
	Rounds  int  // 0 is as many as Options say
	Untimed bool // what is measured does not depend on what other programs use
	Cold    bool // without a warm-up: rounds are so long that settling is enough
	Output  int  // tokens that each arm is to write; 0: any. A server that cannot be kept from ending early may write fewer
}

// warmUps is how many rounds run before the first that is kept.
func (w Work) warmUps() int {
	if w.Cold {
		return 0
	}
	return 1
}

func (w Work) rounds(usual int) int {
	if w.Rounds > 0 {
		return w.Rounds
	}
	return usual
}

// short reports whether an arm wrote another number of tokens than it was to.
func (w Work) short(r Round) bool {
	for _, f := range r.Arms {
		if w.Output > 0 && f.OutputTokens != w.Output {
			return true
		}
	}
	return false
}

// Round is one round as it was measured.
type Round struct {
	Work    string            `json:"work"`
	Round   int               `json:"round"`
	Order   []string          `json:"order"`
	Arms    map[string]Figure `json:"arms"`
	Foreign float64           `json:"foreign"`           // the most that others used during an arm, as a share of the machine
	Dropped bool              `json:"dropped,omitempty"` // others used too much, or an arm wrote too few tokens: measured again
	Failed  map[string]string `json:"failed,omitempty"`  // arms that failed, and why
}

// Figure is a Sample in the units of its JSON names.
type Figure struct {
	FirstSeconds float64 `json:"first_seconds,omitempty"`
	Seconds      float64 `json:"seconds,omitempty"`
	InputTokens  int     `json:"input_tokens,omitempty"`
	OutputTokens int     `json:"output_tokens,omitempty"`

	Values map[string]float64 `json:"values,omitempty"`
}

func figure(s Sample) Figure {
	return Figure{s.First.Seconds(), s.Total.Seconds(), s.Input, s.Output, s.Values}
}
