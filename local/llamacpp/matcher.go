package llamacpp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"retort/llm"
)

// Bounds of what a grammar may cost while it runs.
const (
	maxStacks = 4096    // ways in which one text may go on
	maxFrames = 1 << 18 // frames in all
	maxStates = 1 << 16 // states in all
	maxWork   = 1 << 25 // places looked at in all: some seconds
)

var errAmbiguous = errors.New("it allows too many readings of the same text")

// matcher follows texts through a grammar. The readings of a text are stacks of
// places in the rules; stacks share their lower frames, and equal sets of
// stacks are one state, whose next states are computed once. It belongs to one
// goroutine.
type matcher struct {
	g      *grammar
	frames map[frameKey]*frame
	states map[string]*state
	root   *state

	work int
	todo []frameKey // scratch space
	seen map[frameKey]bool
}

// frame is a place in the rules and what follows when its alternative ends.
type frame struct {
	frameKey
	id     uint32
	lo, hi byte // that it stands before, where it is the top of a stack
}

type frameKey struct {
	at    int32
	below *frame // nil at the bottom
}

// state is what a text may go on with.
type state struct {
	tops []*frame // each stands before a byte; in the order of their ids
	ends bool     // the text may end here
	next map[byte]*state

	tokens []int32 // that the text may go on with, where they are listed
	listed bool
}

// first returns the bytes that the text may go on with.
func (s *state) first() (set [256]bool) {
	for _, top := range s.tops {
		for b := int(top.lo); b <= int(top.hi); b++ {
			set[b] = true
		}
	}
	return set
}

// dead is the state of a text that does not match.
var dead = &state{}

// full reports whether the text cannot go on.
func (s *state) full() bool { return len(s.tops) == 0 }

// newMatcher is at the beginning of a text. An error wraps llm.ErrBadRequest.
func newMatcher(g *grammar) (*matcher, error) {
	m := &matcher{g: g, frames: make(map[frameKey]*frame), states: make(map[string]*state), seen: make(map[frameKey]bool)}
	m.begin()
	for _, at := range g.starts[g.root] {
		m.todo = append(m.todo, frameKey{at, nil})
	}
	var err error
	m.root, err = m.settle()
	return m, err
}

// after returns the state after text that goes on from s; dead if it does not
// match.
func (m *matcher) after(s *state, text string) (*state, error) {
	for i := 0; i < len(text) && s != dead; i++ {
		next, ok := s.next[text[i]]
		if !ok {
			var err error
			if next, err = m.step(s, text[i]); err != nil {
				return nil, err
			}
		}
		s = next
	}
	return s, nil
}

func (m *matcher) step(s *state, b byte) (*state, error) {
	m.begin()
	for _, top := range s.tops {
		if top.lo <= b && b <= top.hi {
			m.todo = append(m.todo, frameKey{top.at + 1, top.below})
		}
	}
	next := dead
	if len(m.todo) > 0 {
		var err error
		if next, err = m.settle(); err != nil {
			return nil, err
		}
	}
	if s.next == nil {
		s.next = make(map[byte]*state)
	}
	s.next[b] = next
	return next, nil
}

func (m *matcher) begin() {
	m.todo = m.todo[:0]
	clear(m.seen)
}

// settle follows the places in todo until each stands before a byte.
func (m *matcher) settle() (*state, error) {
	s := &state{}
	for len(m.todo) > 0 {
		k := m.todo[len(m.todo)-1]
		m.todo = m.todo[:len(m.todo)-1]
		if m.seen[k] {
			continue
		}
		m.seen[k] = true
		m.work++
		if len(m.seen) > 8*maxStacks || len(m.frames) > maxFrames || len(m.states) > maxStates || m.work > maxWork {
			return nil, fmt.Errorf("%w: grammar: %w", llm.ErrBadRequest, errAmbiguous)
		}
		switch e := m.g.row[k.at]; {
		case e.end && k.below == nil:
			s.ends = true
		case e.end:
			m.todo = append(m.todo, k.below.frameKey)
		case e.rule == noRule:
			s.tops = append(s.tops, m.frame(k))
		default:
			m.enter(e.rule, k)
		}
	}
	if len(s.tops) > maxStacks {
		return nil, fmt.Errorf("%w: grammar: %w", llm.ErrBadRequest, errAmbiguous)
	}
	if s.full() && !s.ends {
		return dead, nil
	}
	return m.known(s), nil
}

// enter puts the alternatives of a rule on the stack in the place of k.
func (m *matcher) enter(rule int, k frameKey) {
	below := k.below
	if !m.g.row[k.at+1].end { // else there is nothing to come back for
		below = m.frame(frameKey{k.at + 1, k.below})
	}
	for _, at := range m.g.starts[rule] {
		m.todo = append(m.todo, frameKey{at, below})
	}
}

func (m *matcher) frame(k frameKey) *frame {
	f, ok := m.frames[k]
	if !ok {
		e := m.g.row[k.at]
		f = &frame{k, uint32(len(m.frames)), e.lo, e.hi}
		m.frames[k] = f
	}
	return f
}

// known returns the state that is the same as s, which may be s.
func (m *matcher) known(s *state) *state {
	slices.SortFunc(s.tops, func(a, b *frame) int { return int(a.id) - int(b.id) })
	key := make([]byte, 0, 4*len(s.tops)+1)
	for _, f := range s.tops {
		key = binary.LittleEndian.AppendUint32(key, f.id)
	}
	if s.ends {
		key = append(key, 1)
	}
	if old, ok := m.states[string(key)]; ok {
		return old
	}
	m.states[string(key)] = s
	return s
}
