package clean

import (
	"regexp/syntax"
	"strings"
)

// leastRun returns how many characters without white space between them every text
// has, at least, that pattern matches: more for a key than for most words. It is 0
// where that cannot be told.
func leastRun(pattern string) int {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	return runsIn(re.Simplify()).most
}

// runs is what holds for all texts that a part of a pattern matches: how many
// characters there are, at least, before the first white space, after the last, and
// in the longest run without.
type runs struct {
	first, last, most int
	solid             bool // no text has white space
}

var (
	noText   = runs{solid: true}
	oneSolid = runs{1, 1, 1, true}
	anything = runs{}
)

// then is r, and s right behind it.
func (r runs) then(s runs) runs {
	out := runs{r.first, s.last, max(r.most, s.most, r.last+s.first), r.solid && s.solid}
	if r.solid {
		out.first += s.first
	}
	if s.solid {
		out.last += r.last
	}
	return out
}

// or is what holds for r and for s.
func (r runs) or(s runs) runs {
	return runs{min(r.first, s.first), min(r.last, s.last), min(r.most, s.most), r.solid && s.solid}
}

func runsIn(re *syntax.Regexp) runs {
	switch re.Op {
	case syntax.OpLiteral:
		out := noText
		for _, c := range re.Rune {
			out = out.then(runsOf(c, c))
		}
		return out
	case syntax.OpCharClass:
		return runsOf(re.Rune...)
	case syntax.OpCapture, syntax.OpPlus: // what is repeated is there once
		return runsIn(re.Sub[0])
	case syntax.OpStar, syntax.OpQuest:
		return noText.or(runsIn(re.Sub[0]))
	case syntax.OpConcat:
		out := noText
		for _, sub := range re.Sub {
			out = out.then(runsIn(sub))
		}
		return out
	case syntax.OpAlternate:
		out := runsIn(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			out = out.or(runsIn(sub))
		}
		return out
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return noText
	}
	return anything
}

// whiteSpace is what \s stands for in patterns.
const whiteSpace = "\t\n\f\r "

// runsOf is one character out of these ranges, each of a first and a last one.
func runsOf(ranges ...rune) runs {
	for i := 0; i < len(ranges); i += 2 {
		for _, space := range whiteSpace {
			if ranges[i] <= space && space <= ranges[i+1] {
				return anything
			}
		}
	}
	return oneSolid
}

// longestRun returns how many bytes stand together in text, at most, without white
// space.
func longestRun(text string) (most int) {
	start := 0
	for i := range len(text) {
		if c := text[i]; c <= ' ' && strings.IndexByte(whiteSpace, c) >= 0 {
			most, start = max(most, i-start), i+1
		}
	}
	return max(most, len(text)-start)
}
