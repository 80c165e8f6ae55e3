package ensemble

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Strategy is a way of making one answer of many.
type Strategy string

// The strategies. Help says what each does.
const (
	BestOfN        Strategy = "best-of-n"
	Weighted       Strategy = "weighted"
	Consensus      Strategy = "consensus"
	Specialization Strategy = "specialization"
	Vote           Strategy = "vote"
	Fuse           Strategy = "fuse"
	Cascade        Strategy = "cascade"
)

// plan is what a strategy does with one question: it asks the members it wants
// and fills in q's outcome.
type plan interface {
	run(ctx context.Context, q *query) error
}

// strategies is the table of all there are, the default first.
var strategies = []struct {
	name Strategy
	help string
	plan plan
}{
	{BestOfN, "the best single answer: the judges' choice, without judges what most quality is behind, at last the best model's own", bestOfN{}},
	{Weighted, "the answer with the most votes, each weighted by how often its model is right", weighted{}},
	{Consensus, "an answer only if all models agree; else exit status 3 and the dissent", consensus{}},
	{Specialization, "the answer of the model best suited for the task type, the next best if it fails", specialization{}},
	{Vote, "the answer that most samples give, every model with one vote", vote{}},
	{Fuse, "a new answer that the best model writes from all answers", fuse{}},
	{Cascade, "cheap models first, dearer ones only while the answer is in doubt", cascade{}},
}

// Strategies lists the strategies, the default first.
func Strategies() []Strategy {
	var out []Strategy
	for _, s := range strategies {
		out = append(out, s.name)
	}
	return out
}

// Help says in one line what s does; "" for an unknown one.
func (s Strategy) Help() string {
	for _, known := range strategies {
		if known.name == s {
			return known.help
		}
	}
	return ""
}

func (s Strategy) plan() plan {
	for _, known := range strategies {
		if known.name == s {
			return known.plan
		}
	}
	return nil
}

// ErrUnknownStrategy: no strategy has that name.
var ErrUnknownStrategy = errors.New("unknown strategy")

// ParseStrategy returns the strategy of that name. The error wraps
// ErrUnknownStrategy and lists the names there are.
func ParseStrategy(name string) (Strategy, error) {
	var names []string
	for _, s := range Strategies() {
		if string(s) == name {
			return s, nil
		}
		names = append(names, string(s))
	}
	return "", fmt.Errorf("%w %q (known: %s)", ErrUnknownStrategy, name, strings.Join(names, ", "))
}
