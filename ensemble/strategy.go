package ensemble

import (
	"errors"
	"fmt"
	"strings"
)

// Strategy is a way of making one answer of many.
type Strategy string

// The strategies.
const (
	// BestOfN takes the answer that most of the (quality-weighted) votes are
	// for; where no two answers agree that is the best member's own.
	BestOfN Strategy = "best-of-n"

	// Consensus answers only if every member's majority is the same answer.
	Consensus Strategy = "consensus"
)

// Strategies lists the strategies, the default first.
func Strategies() []Strategy { return []Strategy{BestOfN, Consensus} }

// ErrUnknownStrategy: no strategy has that name.
var ErrUnknownStrategy = errors.New("unknown strategy")

// ParseStrategy returns the strategy of that name. The error wraps
// ErrUnknownStrategy and lists the names there are.
func ParseStrategy(name string) (Strategy, error) {
	names := make([]string, 0, 2)
	for _, s := range Strategies() {
		if string(s) == name {
			return s, nil
		}
		names = append(names, string(s))
	}
	return "", fmt.Errorf("%w %q (known: %s)", ErrUnknownStrategy, name, strings.Join(names, ", "))
}
