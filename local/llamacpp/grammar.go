package llamacpp

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// A grammar is compiled to rules over bytes, so that tokens that are parts of
// characters need no care. It runs here and not in the library, whose parser
// writes its errors past the log, and whose matcher knows no bounds.

// symbol is one element of a rule's alternative: a rule, or a byte from lo to
// hi if rule is noRule.
type symbol struct {
	rule   int
	lo, hi byte
}

const noRule = -1

var errTooLarge = errors.New("it is too large")

// ruleSet collects the rules of a grammar.
type ruleSet struct {
	rules    [][][]symbol // alternatives of each; nil if not defined
	names    map[string]int
	elements int
}

func newRuleSet() *ruleSet { return &ruleSet{names: make(map[string]int)} }

// named returns the rule of that name, which may be defined later.
func (s *ruleSet) named(name string) int {
	id, ok := s.names[name]
	if !ok {
		id = len(s.rules)
		s.names[name] = id
		s.rules = append(s.rules, nil)
	}
	return id
}

// add makes a rule without a name.
func (s *ruleSet) add(alts [][]symbol) symbol {
	s.rules = append(s.rules, alts)
	return symbol{rule: len(s.rules) - 1}
}

// class makes a symbol for one character of ranges.
func (s *ruleSet) class(ranges []runeRange) symbol {
	alts := [][]symbol{}
	for _, r := range ranges {
		alts = appendUTF8(alts, r)
	}
	if len(alts) == 1 && len(alts[0]) == 1 {
		return alts[0][0]
	}
	return s.add(alts)
}

// repeat makes item occur least to most times; without end if most is -1.
func (s *ruleSet) repeat(item []symbol, least, most int) ([]symbol, error) {
	times := max(least, most, 1)
	if s.elements += times * (len(item) + 2); s.elements > maxElements {
		return nil, errTooLarge
	}
	one := item
	if len(item) != 1 {
		one = []symbol{s.add([][]symbol{item})}
	}
	out := slices.Repeat(one, least)
	if most < 0 {
		rest := s.add(nil)
		s.rules[rest.rule] = [][]symbol{append(slices.Clip(one), rest), {}}
		return append(out, rest), nil
	}
	var tail []symbol // of one more and what may follow it
	for range most - least {
		tail = []symbol{s.add([][]symbol{append(slices.Clip(one), tail...), {}})}
	}
	return append(out, tail...), nil
}

// runeRange is a range of code points, both ends included.
type runeRange struct{ lo, hi rune }

// complement returns the code points in none of ranges.
func complement(ranges []runeRange) []runeRange {
	slices.SortFunc(ranges, func(a, b runeRange) int { return cmp.Compare(a.lo, b.lo) })
	var out []runeRange
	next := rune(0)
	for _, r := range ranges {
		if r.lo > next {
			out = append(out, runeRange{next, r.lo - 1})
		}
		next = max(next, r.hi+1)
	}
	if next <= maxRune {
		out = append(out, runeRange{next, maxRune})
	}
	return out
}

// appendUTF8 appends the byte sequences of the code points in r.
func appendUTF8(alts [][]symbol, r runeRange) [][]symbol {
	for _, edge := range []rune{0x7F, 0x7FF, 0xD7FF, 0xDFFF, 0xFFFF} { // where the length changes, and the surrogates
		if r.lo <= edge && edge < r.hi {
			return appendUTF8(appendUTF8(alts, runeRange{r.lo, edge}), runeRange{edge + 1, r.hi})
		}
	}
	if 0xD800 <= r.lo && r.hi <= 0xDFFF {
		return alts
	}
	// Split where the continuation bytes do not span all their values.
	for bits := 6; bits < 6*utf8.RuneLen(r.lo); bits += 6 {
		mask := rune(1)<<bits - 1
		if r.lo&^mask == r.hi&^mask {
			break
		}
		if r.lo&mask != 0 {
			return appendUTF8(appendUTF8(alts, runeRange{r.lo, r.lo | mask}), runeRange{(r.lo | mask) + 1, r.hi})
		}
		if r.hi&mask != mask {
			return appendUTF8(appendUTF8(alts, runeRange{r.lo, r.hi&^mask - 1}), runeRange{r.hi &^ mask, r.hi})
		}
	}
	lo, hi := utf8.AppendRune(nil, r.lo), utf8.AppendRune(nil, r.hi)
	seq := make([]symbol, len(lo))
	for i := range lo {
		seq[i] = symbol{rule: noRule, lo: lo[i], hi: hi[i]}
	}
	return append(alts, seq)
}

// compile checks the rules and lays them out.
func (s *ruleSet) compile() (*grammar, error) {
	root, ok := s.names[rootRule]
	if !ok {
		return nil, fmt.Errorf("it has no rule %q", rootRule)
	}
	for name, id := range s.names {
		if s.rules[id] == nil {
			return nil, fmt.Errorf("rule %q is not defined", name)
		}
	}
	s.dropEndless()
	if len(s.rules[root]) == 0 {
		return nil, errors.New("no text matches it")
	}
	if id := s.leftRecursive(); id >= 0 {
		return nil, fmt.Errorf("rule %q begins with itself", s.nameOf(id))
	}
	return s.layOut(root)
}

// nameOf returns a rule's name, or that of a rule it is part of.
func (s *ruleSet) nameOf(id int) string {
	best, name := -1, "?"
	for n, i := range s.names {
		if i <= id && i > best {
			best, name = i, n
		}
	}
	return name
}

// dropEndless removes the alternatives that no text of finite length matches.
func (s *ruleSet) dropEndless() {
	finite := s.fixpoint(func(x symbol, known []bool) bool { return x.rule == noRule || known[x.rule] })
	for id, alts := range s.rules {
		s.rules[id] = slices.DeleteFunc(alts, func(alt []symbol) bool {
			return slices.ContainsFunc(alt, func(x symbol) bool { return x.rule != noRule && !finite[x.rule] })
		})
	}
}

// fixpoint returns the rules of which some alternative has symbols that all
// satisfy holds, given the rules that are known to be so.
func (s *ruleSet) fixpoint(holds func(x symbol, known []bool) bool) []bool {
	known := make([]bool, len(s.rules))
	users := make([][]int, len(s.rules)) // the rules to look at again when one becomes known
	var todo []int
	for id, alts := range s.rules {
		todo = append(todo, id)
		for _, alt := range alts {
			for _, x := range alt {
				if x.rule != noRule {
					users[x.rule] = append(users[x.rule], id)
				}
			}
		}
	}
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if known[id] {
			continue
		}
		for _, alt := range s.rules[id] {
			if !slices.ContainsFunc(alt, func(x symbol) bool { return !holds(x, known) }) {
				known[id] = true
				todo = append(todo, users[id]...)
				break
			}
		}
	}
	return known
}

// leftRecursive returns a rule that comes up again at its own beginning with
// something still to follow, -1 if there is none: such a rule would be expanded
// for ever.
func (s *ruleSet) leftRecursive() int {
	empty := s.fixpoint(func(x symbol, known []bool) bool { return x.rule != noRule && known[x.rule] })
	first := make([][]int, len(s.rules)) // rules that may begin each
	grows := make([][]int, len(s.rules)) // of these, the ones that others follow
	for id, alts := range s.rules {
		for _, alt := range alts {
			for i, x := range alt {
				if x.rule == noRule {
					break
				}
				first[id] = append(first[id], x.rule)
				if i < len(alt)-1 {
					grows[id] = append(grows[id], x.rule)
				}
				if !empty[x.rule] {
					break
				}
			}
		}
	}
	component := components(first)
	for id, next := range grows {
		if slices.ContainsFunc(next, func(n int) bool { return component[n] == component[id] }) {
			return id
		}
	}
	return -1
}

// components numbers the strongly connected components of a graph (Tarjan).
func components(edges [][]int) []int {
	n := len(edges)
	index, low, out := make([]int, n), make([]int, n), make([]int, n)
	var stack []int
	clock := 0
	var visit func(v int)
	visit = func(v int) {
		clock++
		index[v], low[v] = clock, clock
		stack = append(stack, v)
		for _, w := range edges[v] {
			if index[w] == 0 {
				visit(w)
			}
			if out[w] == 0 {
				low[v] = min(low[v], low[w])
			}
		}
		if low[v] < index[v] {
			return
		}
		for {
			w := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			out[w] = index[v]
			if w == v {
				return
			}
		}
	}
	for v := range n {
		if index[v] == 0 {
			visit(v)
		}
	}
	return out
}

// layOut writes all alternatives into one row.
func (s *ruleSet) layOut(root int) (*grammar, error) {
	g := &grammar{starts: make([][]int32, len(s.rules)), root: root}
	for id, alts := range s.rules {
		for _, alt := range alts {
			g.starts[id] = append(g.starts[id], int32(len(g.row)))
			for _, x := range alt {
				g.row = append(g.row, element{symbol: x})
			}
			g.row = append(g.row, element{end: true})
		}
		if len(g.row) > maxElements {
			return nil, errTooLarge
		}
	}
	return g, nil
}

// grammar is a set of compiled rules. It does not change.
type grammar struct {
	row    []element
	starts [][]int32 // where the alternatives of each rule begin in row
	root   int
}

type element struct {
	symbol
	end bool
}
