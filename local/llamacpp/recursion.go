package llamacpp

import "slices"

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
