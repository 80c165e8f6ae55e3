package llamacpp

import "strings"

// stopGate lets text through until a stop text appears. It holds back what may
// be the beginning of one.
type stopGate struct {
	stops []string
	held  string
}

// add returns the text that may be shown now, and whether a stop text was
// found: then the answer has ended, and the stop text and all after it is gone.
// Of several stop texts the one that begins first counts.
func (g *stopGate) add(text string) (show string, stopped bool) {
	g.held += text
	cut := len(g.held) - g.partial() // a stop text may yet turn out to begin here
	if first := g.first(); first >= 0 && first <= cut {
		show, g.held = g.held[:first], ""
		return show, true
	}
	show, g.held = g.held[:cut], g.held[cut:]
	return show, false
}

// rest returns what may be shown of the text that was held back, once no more
// comes, and whether a stop text was in it.
func (g *stopGate) rest() (show string, stopped bool) {
	first := g.first()
	if first < 0 {
		first = len(g.held)
	} else {
		stopped = true
	}
	show, g.held = g.held[:first], ""
	return show, stopped
}

// first returns where the first stop text begins in held, -1 if there is none.
func (g *stopGate) first() int {
	first := -1
	for _, stop := range g.stops {
		if i := strings.Index(g.held, stop); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	return first
}

// partial returns the length of the longest end of held that begins a stop text.
func (g *stopGate) partial() int {
	longest := 0
	for _, stop := range g.stops {
		for n := min(len(stop)-1, len(g.held)); n > longest; n-- {
			if strings.HasSuffix(g.held, stop[:n]) {
				longest = n
			}
		}
	}
	return longest
}
