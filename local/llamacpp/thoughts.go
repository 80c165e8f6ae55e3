package llamacpp

import (
	"strings"
	"unicode"
)

// The marks around the thoughts of models that reason before they answer: of
// DeepSeek R1, Qwen3 and those that followed them.
const (
	thoughtBegin = "<think>"
	thoughtEnd   = "</think>"
)

// opensThoughts reports whether a prompt ends within thoughts, as those of models
// do that cannot answer without.
func opensThoughts(prompt string) bool {
	return strings.HasSuffix(strings.TrimRightFunc(prompt, unicode.IsSpace), thoughtBegin)
}

// thoughtGate keeps thoughts from the text of an answer: they are no part of it.
type thoughtGate struct {
	at   thoughtState
	held string // may yet turn out to begin or to end thoughts
}

type thoughtState int

const (
	beforeThoughts thoughtState = iota // the answer may begin with thoughts
	inThoughts
	behindThoughts // where white space is no part of the answer yet
	noThoughts     // but the answer, to its end
)

// add returns what of the answer may be shown now, and how many bytes of thoughts
// are gone.
func (g *thoughtGate) add(text string) (show string, gone int) {
	all := len(g.held) + len(text)
	g.held += text
	for g.step() {
	}
	if g.at == noThoughts {
		show, g.held = g.held, ""
	}
	return show, all - len(show) - len(g.held)
}

// step takes from held what belongs to the state, and reports whether there is
// another one to look at.
func (g *thoughtGate) step() bool {
	start := strings.TrimLeftFunc(g.held, unicode.IsSpace)
	switch g.at {
	case beforeThoughts:
		rest, found := strings.CutPrefix(start, thoughtBegin)
		switch {
		case found:
			g.at, g.held = inThoughts, rest
		case strings.HasPrefix(thoughtBegin, start):
			return false
		default:
			g.at = noThoughts
		}
		return true
	case inThoughts:
		_, rest, found := strings.Cut(g.held, thoughtEnd)
		if !found {
			mark := stopGate{stops: []string{thoughtEnd}, held: g.held}
			g.held = g.held[len(g.held)-mark.partial():]
			return false
		}
		g.at, g.held = behindThoughts, rest
		return true
	case behindThoughts:
		g.held = start
		if start != "" {
			g.at = noThoughts
		}
	}
	return false
}

// rest returns what was held back of the answer, once no more text comes.
func (g *thoughtGate) rest() (show string) {
	if g.at == beforeThoughts {
		show, g.held, g.at = g.held, "", noThoughts
	}
	return show
}
