package llamacpp

import (
	"cmp"
	"slices"
)

// minShelved is the least number of tokens of a prompt for which prefixes that lie
// idle have to make way.
const minShelved = 256

// shelve moves prefixes that no running branch begins with out of the KV cache,
// those first that were used longest ago, until the shelf is full. The one in the
// sequence but stays.
//
// The engine looks at each cell up to the last one that is taken, for every
// token that it decodes, whether the token may attend to it or not. So prefixes
// that lie idle make everything slower: with five to eight of 900 tokens it takes
// a tenth longer to read another one. To move one out takes 5 to 20 ms there, and
// back 2 to 4 ms.
//
// It needs an empty sequence, and leaves it empty.
func (s *scheduler) shelve(spare, but int) {
	room := s.lim.shelf
	for _, e := range s.cache.entries {
		if e.saved != nil {
			room -= len(e.tokens)
		}
	}
	byAge := slices.SortedFunc(slices.Values(s.cache.entries), func(a, b *prefix) int { return cmp.Compare(a.used, b.used) })
	for _, e := range byAge {
		if n := len(e.tokens); e.saved != nil || n > room || e.seq == but || s.inUse(e) {
			continue
		}
		if e.saved = s.dev.save(e.seq, len(e.tokens), spare); e.saved != nil {
			room -= len(e.tokens)
			s.dev.truncate(e.seq, 0)
		}
	}
}

// inUse reports whether a running branch holds cells of e.
func (s *scheduler) inUse(e *prefix) bool {
	return slices.ContainsFunc(s.running, func(b *branch) bool {
		return commonPrefix(b.tokens[:b.done], e.tokens) >= minPrefix
	})
}

// unshelve brings e back into the KV cache if it is not there. Where there is no
// room for it, it is forgotten: false. It needs an empty sequence, and leaves it
// empty.
func (s *scheduler) unshelve(e *prefix, spare int) bool {
	if e.saved == nil {
		return true
	}
	ok := s.dev.restore(e.seq, len(e.tokens), spare, e.saved)
	if e.saved = nil; !ok {
		s.cache.drop(e)
	}
	return ok
}
