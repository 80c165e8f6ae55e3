package dataset

import (
	"context"
	"iter"
	"slices"
)

// maxChunk is how many bytes of new examples are one change: a thousand of 1 KiB,
// so that these cost one commit. With maxBatch it is what one transaction may hold.
const maxChunk = maxBatch + maxBatch/4

// chunks cuts items so that each piece fits one transaction.
func chunks(items []item) iter.Seq[[]item] {
	return func(yield func([]item) bool) {
		size, start := 0, 0
		for i, it := range items {
			n := len(it.payload) + exampleOverhead
			if size+n > maxChunk && i > start {
				if !yield(items[start:i]) {
					return
				}
				size, start = 0, i
			}
			size += n
		}
		if start < len(items) {
			yield(items[start:])
		}
	}
}

// putting hands the chunks of one Put to the committer, two of them at a time: one
// is committed while the next one is gathered.
type putting struct {
	store  *Store
	ctx    context.Context
	handed []*handedChunk
	stored int
}

// put commits items, those of large chunks while the next ones are prepared. Items
// that may add to examples can turn out too many for one group; so that all stay in
// order, nothing else of this Put is handed over meanwhile.
func (p *putting) put(items []item) error {
	if !slices.ContainsFunc(items, item.extends) {
		return p.hand(items, false)
	}
	if err := p.finish(); err != nil {
		return err
	}
	if err := p.hand(items, true); err != nil {
		return err
	}
	return p.finish()
}

// handedChunk is a chunk whose outcome is not known yet.
type handedChunk struct {
	change *change
	items  []item
	added  int
	done   int
}

// hand hands over a chunk, which reads if any of its items may add to an example.
func (p *putting) hand(items []item, reads bool) error {
	if len(p.handed) == 2 {
		if err := p.next(); err != nil {
			return err
		}
	}
	h := &handedChunk{items: items}
	var err error
	h.change, err = p.store.committer.hand(p.ctx, reads, func(b *batch) (err error) {
		h.added, h.done, err = p.store.addNew(b, h.items)
		return err
	})
	if err == nil {
		p.handed = append(p.handed, h)
	}
	return err
}

// next waits for the oldest chunk, and hands over what of it is not done.
func (p *putting) next() error {
	h := p.handed[0]
	p.handed = p.handed[1:]
	if err := h.change.wait(); err != nil {
		return err
	}
	p.stored += h.added
	if h.done < len(h.items) {
		return p.hand(h.items[h.done:], true) // only of one that reads is anything left
	}
	return nil
}

// finish waits for all chunks.
func (p *putting) finish() error {
	var first error
	for len(p.handed) > 0 {
		if err := p.next(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// addNew adds those items that b does not have yet, and counts them. To those
// that it has, it adds the stars and rejected answers that they lack. It says how
// many items are done: not all, when such additions make b too large.
func (s *Store) addNew(b *batch, items []item) (added, done int, err error) {
	extended := false
	for i, it := range items {
		position, err := b.position(it.digest)
		if err != nil {
			return 0, 0, err
		}
		known := position != 0
		extends := known && it.extends()
		if i > 0 && (extends || extended) && b.size >= maxBatch {
			return added, i, nil
		}
		switch {
		case extends:
			extended = true
			if err := s.extend(b, position, it); err != nil {
				return 0, 0, err
			}
		case !known:
			if err := b.add(it.digest, it.example, it.payload); err != nil {
				return 0, 0, err
			}
			added++
		}
	}
	return added, len(items), nil
}

// extend adds to the example at position what it has of stars and rejected answers.
func (s *Store) extend(b *batch, position uint64, it item) error {
	rec, err := readPosition(b.txn, position)
	if err != nil {
		return err
	}
	ex, err := rec.example()
	if err != nil {
		return err
	}
	before, stars := ex, ex.UserFeedback
	ex.Rejected = union(ex.Rejected, it.example.Rejected)
	if stars == 0 {
		stars = it.example.UserFeedback
	}
	if len(ex.Rejected) == len(before.Rejected) && ex.UserFeedback == stars {
		return nil
	}
	after, payload, err := s.starred(ex, stars)
	if err != nil {
		return err
	}
	return b.replace(rec, before, after, payload)
}

// union returns a with what of b it does not have.
func union(a, b []string) []string {
	for _, text := range b {
		if !slices.Contains(a, text) {
			a = append(a, text)
		}
	}
	return a
}
