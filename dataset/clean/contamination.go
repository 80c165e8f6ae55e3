package clean

import (
	"fmt"
	"strings"

	"retort/dataset"
	"retort/llm"
)

// HeldOut is a question that the trained model will be tested with.
type HeldOut struct {
	Name     string // what a report calls it: an ID, or a file and its line
	Question string
	Answer   string
}

// HeldOutExample is the HeldOut of an example of the other side.
func HeldOutExample(name string, ex dataset.Example) HeldOut {
	return HeldOut{Name: name, Question: question(ex), Answer: ex.Response}
}

// Overlap of an example with a held-out item is looked for in runs of words, the
// shorter ones against many small overlaps, the longer against one whole passage.
const (
	longRun  = 13  // words: one such run in common is a copied passage
	shortRun = 8   // words
	runShare = 0.7 // of the item's short runs, at which the example holds the item
)

// heldOutIndex finds what examples have in common with held-out items.
type heldOutIndex struct {
	items []HeldOut
	exact map[string]int
	long  map[uint32]int
	short map[uint32][]int
	runs  []int // number of short runs of each item

	longFrame, shortFrame map[uint32]bool
}

func newHeldOutIndex(items []HeldOut, examples []dataset.Example) *heldOutIndex {
	x := &heldOutIndex{items: items, exact: map[string]int{}, long: map[uint32]int{}, short: map[uint32][]int{},
		runs: make([]int, len(items))}
	if len(items) == 0 {
		return x
	}
	x.longFrame, x.shortFrame = frames(examples, longRun), frames(examples, shortRun)
	for i, it := range items {
		asked := words(it.Question)
		x.exact[plain(it.Question)] = i
		for _, text := range [][]string{asked, words(it.Answer)} {
			for _, g := range without(grams(text, longRun), x.longFrame) {
				x.long[g] = i
			}
		}
		short := without(grams(asked, shortRun), x.shortFrame)
		x.runs[i] = len(short)
		for _, g := range short {
			x.short[g] = append(x.short[g], i)
		}
	}
	return x
}

// plain is text without what is not compared, or, where nothing else is in it
// ("=?"), text.
func plain(text string) string {
	if w := words(text); len(w) > 0 {
		return strings.Join(w, " ")
	}
	return strings.TrimSpace(text)
}

// overlap says what ex has in common with an item; "" if nothing that matters.
func (x *heldOutIndex) overlap(ex dataset.Example) (detail, item string) {
	if len(x.items) == 0 {
		return "", ""
	}
	texts := []string{question(ex)}
	for _, m := range ex.Messages {
		if m.Role == llm.RoleUser {
			texts = append(texts, m.Content)
		}
	}
	for _, text := range texts {
		if i, ok := x.exact[plain(text)]; ok {
			return "asks what is held out: " + x.items[i].Name, x.items[i].Name
		}
	}
	asked := words(texts[0])
	for _, text := range [][]string{asked, words(ex.Response)} {
		for _, g := range grams(text, longRun) {
			if i, ok := x.long[g]; ok {
				return fmt.Sprintf("%d words in a row as in %s", longRun, x.items[i].Name), x.items[i].Name
			}
		}
	}
	common := map[int]int{}
	for _, g := range grams(asked, shortRun) {
		for _, i := range x.short[g] {
			common[i]++
		}
	}
	best := -1
	for i, n := range common { // the first such item, whatever the map's order
		if float64(n) >= runShare*float64(x.runs[i]) && (best < 0 || i < best) {
			best = i
		}
	}
	if best < 0 {
		return "", ""
	}
	return fmt.Sprintf("%d of %d runs of %d words of %s", common[best], x.runs[best], shortRun, x.items[best].Name), x.items[best].Name
}
