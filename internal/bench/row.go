package bench

import (
	"cmp"
	"fmt"
)

// Goal says which side of the target a ratio is to be on.
type Goal string

// The goals.
const (
	AtLeast Goal = ">="
	AtMost  Goal = "<="
	Equal   Goal = "=" // the target lies within the interval
	None    Goal = ""  // reported without a target
)

// Row compares two arms of a work.
type Row struct {
	Name   string
	Work   string
	Ours   string // arms
	Peer   string // "" compares with Bar
	Bar    float64
	Figure func(Figure) float64 // what is compared: ours divided by the peer's
	Unit   string
	Goal   Goal
	Target float64

	// Unequal leaves out the check that both arms read and wrote as many
	// tokens, for rows whose arms do different work by intent.
	Unequal bool

	// Skip says why the row cannot be measured here; "" if it can.
	Skip string
}

// barName stands for the peer in the results of rows that have none.
const barName = "bar"

// Result is a row as it was measured. Its JSON names are stable.
type Result struct {
	Name       string    `json:"name"`
	Model      string    `json:"model,omitempty"`
	Peer       string    `json:"peer"`
	Ratio      float64   `json:"ratio"` // median of the rounds' ratios
	Low        float64   `json:"low"`
	High       float64   `json:"high"`
	Goal       Goal      `json:"goal,omitempty"`
	Target     *float64  `json:"target"`
	Holds      *bool     `json:"holds"`
	Ours       float64   `json:"ours"` // median, in Unit
	PeerFigure float64   `json:"peer_figure"`
	Unit       string    `json:"unit"`
	Ratios     []float64 `json:"ratios"`
	Error      string    `json:"error,omitempty"`
	Skipped    string    `json:"skipped,omitempty"` // why it was not measured
}

// Result computes the row from rounds. A round in which the token counts
// differ, or in which an arm failed, fails the row.
func (row Row) Result(rounds []Round, seed uint64) Result {
	res := Result{Name: row.Name, Peer: cmp.Or(row.Peer, barName), Goal: row.Goal, Unit: row.Unit}
	if row.Goal != None {
		res.Target = new(row.Target)
	}
	if res.Skipped = row.Skip; row.Skip != "" {
		return res
	}
	if row.Goal != None {
		res.Holds = new(false)
	}
	var ours, theirs []float64
	for _, r := range rounds {
		if r.Work != row.Work || r.Dropped {
			continue
		}
		if err := row.check(r); err != nil {
			res.Error = err.Error()
			return res
		}
		a, b := row.Figure(r.Arms[row.Ours]), row.peer(r)
		ours, theirs, res.Ratios = append(ours, a), append(theirs, b), append(res.Ratios, a/b)
	}
	if len(res.Ratios) == 0 {
		res.Error = "no round was measured"
		return res
	}
	res.Ours, res.PeerFigure, res.Ratio = Median(ours), Median(theirs), Median(res.Ratios)
	res.Low, res.High = Interval(res.Ratios, seed)
	if res.Holds != nil {
		*res.Holds = row.holds(res)
	}
	return res
}

// peer is what the row's own figure is divided by.
func (row Row) peer(r Round) float64 {
	if row.Peer == "" {
		return row.Bar
	}
	return row.Figure(r.Arms[row.Peer])
}

func (row Row) holds(r Result) bool {
	switch row.Goal {
	case AtLeast:
		return r.Ratio >= row.Target
	case AtMost:
		return r.Ratio <= row.Target
	}
	return r.Low <= row.Target && row.Target <= r.High
}

// check returns why r cannot be compared.
func (row Row) check(r Round) error {
	for _, arm := range []string{row.Ours, row.Peer} {
		if why, failed := r.Failed[arm]; failed {
			return fmt.Errorf("round %d: %s: %s", r.Round, arm, why)
		}
	}
	a, b := r.Arms[row.Ours], r.Arms[row.Peer]
	switch {
	case row.Unequal || row.Peer == "":
	case a.InputTokens != b.InputTokens:
		return fmt.Errorf("round %d: %d prompt tokens against %d", r.Round, a.InputTokens, b.InputTokens)
	case a.OutputTokens != b.OutputTokens:
		return fmt.Errorf("round %d: %d output tokens against %d", r.Round, a.OutputTokens, b.OutputTokens)
	}
	if !(row.Figure(a) > 0) || !(row.peer(r) > 0) {
		return fmt.Errorf("round %d: nothing was measured", r.Round)
	}
	return nil
}

// The figures that rows compare.
var (
	// DecodeRate is tokens per second behind the first one of a single answer.
	DecodeRate = func(f Figure) float64 {
		return float64(f.OutputTokens-1) / (f.Seconds - f.FirstSeconds)
	}
	FirstText = func(f Figure) float64 { return f.FirstSeconds }
	WallTime  = func(f Figure) float64 { return f.Seconds }
)

// Value is the figure of that name among a sample's Values.
func Value(name string) func(Figure) float64 {
	return func(f Figure) float64 { return f.Values[name] }
}
