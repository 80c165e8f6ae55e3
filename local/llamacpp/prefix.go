package llamacpp

import "slices"

// minPrefix is the least number of tokens worth keeping or waiting for: less
// is decoded in the time that one answer token takes.
const minPrefix = 32

// prefix is a cached beginning of prompts.
type prefix struct {
	tokens []int32
	seq    int
	used   uint64   // clock of the last use
	shared bool     // several prompts went on differently from its end
	saved  [][]byte // what seq held, while it is on the shelf; nil while seq holds it
}

// prefixCache remembers which beginnings of prompts are decoded, and in which
// sequence. It decides alone: the scheduler carries out what it says.
type prefixCache struct {
	entries []*prefix
	free    []int
	clock   uint64
}

func newPrefixCache(seqs []int) *prefixCache { return &prefixCache{free: seqs} }

// match returns the entry that shares the longest beginning with tokens, and
// how long that is; nil and 0 if none shares any.
func (c *prefixCache) match(tokens []int32) (best *prefix, n int) {
	for _, e := range c.entries {
		if k := commonPrefix(e.tokens, tokens); k > n {
			best, n = e, k
		}
	}
	return best, n
}

func (c *prefixCache) touch(e *prefix) {
	c.clock++
	e.used = c.clock
}

// change is what the scheduler has to do so that an entry holds its tokens.
type change struct {
	entry *prefix
	keep  int     // positions that the entry's sequence has already
	total int     // positions that it is to have; less than keep cuts it
	evict *prefix // an entry whose sequence is emptied first; nil if none
}

// store learns that prompt was decoded, and returns what to do about it; false
// if nothing.
//
// Prompts that differ in a short tail alone are requests over the same
// examples: what they share is kept, and their tails are not. A prompt that
// goes on from the end of an entry is a conversation that has grown: the entry
// grows with it. Everything else takes the place of what was used longest ago.
func (c *prefixCache) store(prompt []int32) (change, bool) {
	if len(prompt) < minPrefix || len(c.free)+len(c.entries) == 0 {
		return change{}, false
	}
	e, n := c.match(prompt)
	if n < minPrefix {
		return c.add(prompt), true
	}
	switch {
	case n == len(prompt):
		c.touch(e)
		return change{}, false
	case n == len(e.tokens) && !e.shared:
		c.touch(e)
		e.tokens = prompt
		return change{entry: e, keep: n, total: len(prompt)}, true
	case !shortTail(len(prompt)-n, n):
		return c.add(prompt), true
	case n == len(e.tokens):
		c.touch(e)
		return change{}, false
	case !shortTail(len(e.tokens)-n, n):
		return change{}, false
	}
	c.touch(e)
	keep := len(e.tokens)
	e.tokens, e.shared = e.tokens[:n], true
	return change{entry: e, keep: keep, total: n}, true
}

// shortTail reports whether a tail of that many tokens is too short to be worth
// an entry of its own beside the n tokens before it.
func shortTail(tail, n int) bool { return tail <= max(minPrefix, n/4) }

func (c *prefixCache) add(prompt []int32) change {
	ch := change{total: len(prompt)}
	if len(c.free) == 0 {
		ch.evict = c.evict(func(*prefix) bool { return true })
	}
	e := &prefix{tokens: prompt, seq: c.free[len(c.free)-1]}
	c.free = c.free[:len(c.free)-1]
	c.entries = append(c.entries, e)
	c.touch(e)
	ch.entry = e
	return ch
}

// evict forgets the entry that was used longest ago of those that may go, and
// returns it; nil if there is none.
func (c *prefixCache) evict(may func(*prefix) bool) *prefix {
	var old *prefix
	for _, e := range c.entries {
		if may(e) && (old == nil || e.used < old.used) {
			old = e
		}
	}
	if old != nil {
		c.drop(old)
	}
	return old
}

// drop forgets an entry.
func (c *prefixCache) drop(e *prefix) {
	c.entries = slices.DeleteFunc(c.entries, func(x *prefix) bool { return x == e })
	c.free = append(c.free, e.seq)
}

// commonPrefix returns how many tokens a and b share from the start.
func commonPrefix(a, b []int32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
