package clean

import "strings"

// Texts remembers texts, to tell whether another says nearly the same. Its zero
// value is ready; it is for one goroutine. Texts of 20 words or more are compared
// by their runs of three words, shorter ones by their runs of two, and those too
// short for that word for word.
type Texts struct {
	plain       map[string]bool
	short, long textIndex
}

// textIndex holds sets of shingles of one length.
type textIndex struct {
	near index
	sets [][]uint32
}

const (
	pairWords = 2   // in a shingle of a short text
	nearTexts = 0.8 // Jaccard similarity from which two texts say nearly the same
)

// Add remembers text, and reports whether it is new: false means that it, or one
// that nearly says the same, was there before, and nothing is changed.
func (t *Texts) Add(text string) bool {
	key := plain(text)
	if t.plain[key] {
		return false
	}
	w := words(text)
	x, n := &t.short, pairWords
	if len(w) >= minWords {
		x, n = &t.long, shingleWords
	}
	if set := grams(w, n); len(set) > 0 && !x.add(set) {
		return false
	}
	if t.plain == nil {
		t.plain = map[string]bool{}
	}
	t.plain[strings.Clone(key)] = true
	return true
}

// add puts set into the index unless there is one much like it.
func (x *textIndex) add(set []uint32) bool {
	s := sign(set)
	fresh := true
	x.near.candidates(&s, func(n int) bool {
		fresh = jaccard(set, x.sets[n]) < nearTexts
		return fresh
	})
	if fresh {
		x.near.add(len(x.sets), &s)
		x.sets = append(x.sets, set)
	}
	return fresh
}
