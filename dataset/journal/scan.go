package journal

import (
	"bytes"
	"fmt"
	"path/filepath"
)

// scan reads one segment and tells a torn end from damage. A process that is
// killed, or a power cut, leaves the last group incomplete: it was never
// acknowledged and counts as never written. Anything else that is wrong is damage:
// it has whole groups behind it, or a footer, or lies in a segment that others
// follow.
type scan struct {
	name  string
	final bool // no segment follows
	keep  bool // a torn end is yielded too, as damage
	yield func(Entry, error) bool

	last     uint64 // last change of whole groups; before the first, of earlier segments
	end      int64  // offset, in bytes, of what follows the last whole group, header or footer
	seen     int64  // offset of what follows the last line, whole or not
	entries  uint64 // in whole groups
	headed   bool
	footed   bool
	snapshot bool

	prev    uint64  // last change that was read
	pending []Entry // of the group that is being read
	group   uint64  // theirs
	held    []error // wrong lines since the last whole group
	stopped bool    // yield said so
}

// run reads the segment at path, which has this number and follows upon change
// after. It yields the entries of whole groups, damage in its place, and whatever
// is intact around it.
func (s *scan) run(path string, number int, after uint64) {
	s.name, s.last, s.prev = filepath.Base(path), after, after
	for l, err := range lines(path) {
		s.seen = max(s.seen, l.end)
		switch {
		case err != nil:
			s.held = append(s.held, err)
		case l.isHeader():
			s.header(l, number, after)
		case l.End:
			s.footer(l)
		default:
			s.change(l)
		}
		if s.stopped {
			return
		}
	}
	s.finish()
}

func (s *scan) header(l located, number int, after uint64) {
	switch {
	case s.headed || s.prev != after:
		s.wrong("its header does not come first")
	case l.Segment != number:
		s.wrong("it is segment %d", l.Segment)
	case number == 1 && l.Snapshot:
		s.last, s.prev = l.After, l.After
	case l.After != after:
		s.wrong("it follows upon change %d, the one before ends with %d", l.After, after)
		s.last, s.prev = l.After, l.After
	}
	s.headed, s.snapshot = true, l.Snapshot
	if len(s.held) == 0 {
		s.end = l.end
	}
}

func (s *scan) footer(l located) {
	s.flush()
	switch {
	case s.footed:
		s.report(s.damaged("it has a second footer"))
	case l.Entries != s.entries || l.Last != s.last:
		s.report(s.damaged("it has %d entries up to change %d of %d up to %d", s.entries, s.last, l.Entries, l.Last))
	}
	s.last, s.prev = max(s.last, l.Last), max(s.prev, l.Last)
	s.footed, s.end = true, l.end
}

func (s *scan) change(l located) {
	if len(s.pending) > 0 && (l.Group != s.group || s.snapshot) {
		s.flush()
	}
	if !s.headed || s.footed {
		s.wrong("change %d is outside of header and footer", l.Change)
	}
	if !s.snapshot && l.Change != s.prev+1 {
		s.wrong("change %d stands where %d belongs", l.Change, s.prev+1)
	}
	s.prev, s.group = l.Change, l.Group
	e := l.entry()
	e.Data = bytes.Clone(e.Data)
	s.pending = append(s.pending, e)
	if l.Change == l.Group && len(s.held) == 0 {
		s.emit()
		s.end = l.end
		if !s.snapshot {
			s.last = l.Group
		}
	}
}

// flush settles that what is held is damage: something follows it that was
// written later. The intact lines of the group are yielded all the same.
func (s *scan) flush() {
	if len(s.pending) > 0 && len(s.held) == 0 {
		s.wrong("the changes up to %d are not all there", s.group)
	}
	for _, err := range s.held {
		s.report(err)
	}
	s.held = nil
	if len(s.pending) > 0 && !s.snapshot {
		s.last = max(s.last, s.prev)
	}
	s.emit()
}

// emit yields the pending entries.
func (s *scan) emit() {
	for _, e := range s.pending {
		s.entries++
		if !s.stopped {
			s.stopped = !s.yield(e, nil)
		}
	}
	s.pending = s.pending[:0]
}

// finish ends the segment.
func (s *scan) finish() {
	if s.final && !s.snapshot && !s.footed && !s.keep {
		return // what is pending and held was torn off
	}
	s.flush()
	if !s.footed {
		s.report(s.damaged("it has no footer"))
	}
}

func (s *scan) damaged(format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", s.name, ErrDamaged, fmt.Sprintf(format, args...))
}

func (s *scan) wrong(format string, args ...any) {
	s.held = append(s.held, s.damaged(format, args...))
}

func (s *scan) report(err error) {
	if !s.stopped {
		s.stopped = !s.yield(Entry{}, err)
	}
}
