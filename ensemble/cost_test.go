package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"retort/ensemble"
	"retort/llm"
	"retort/llm/llmtest"
)

// TestMaxCost_holdsWhereCostIsNotKnown: what was set aside for a member stays set
// aside where it may have been charged for, and nobody says how much.
func TestMaxCost_holdsWhereCostIsNotKnown(t *testing.T) {
	failing := func(err error) llm.Model { return &llmtest.Script{Name: "a", Answers: []string{"blue"}, Err: err} }
	for name, tc := range map[string]struct {
		first llm.Model
		calls int // of the second
	}{
		"counted":     {script("a", "blue", "red"), 2},
		"not counted": {llmtest.Uncounted{Model: script("a", "blue", "red")}, 0},
		"broken off":  {failing(fmt.Errorf("generate: %w", llm.ErrIncomplete)), 0},
		"too slow":    {failing(fmt.Errorf("generate: %w", context.DeadlineExceeded)), 0},
		"refused":     {failing(errors.New("no such key")), 2},
	} {
		t.Run(name, func(t *testing.T) {
			second := script("b", "red")
			members := []ensemble.Member{priced(tc.first, 0.1, 5), priced(second, 0.11, 5)}
			for i := range members {
				members[i].Samples = 2
			}
			// Each can cost $0.8 and some, so the limit has room for one.
			out, _ := queryWith(t, ensemble.Options{MaxCostUSD: 1}, ensemble.Cascade, members...)
			if n := second.Calls(); n != tc.calls || errors.Is(out.Members[1].Err, ensemble.ErrOverBudget) != (n == 0) {
				t.Errorf("the second was asked %d times, want %d; members %+v", n, tc.calls, out.Members)
			}
		})
	}
}
