package remote

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

const (
	maxEvent  = 8 << 20   // bytes of one event
	maxAnswer = 256 << 20 // bytes of all events
)

var errCutRune = errors.New("a character was cut in two")

// stream passes on the lines of an event stream without its comments, and without
// the empty lines that end no event, for both of which some SDKs fail. It ends at
// the first thing that no reader of JSON would notice or survive: an event without
// end, or half a character, for which decoding puts another one. An error is kept
// and shown as the end: SDKs print or quote those they meet.
type stream struct {
	lines  *bufio.Scanner
	change func([]byte) []byte
	rest   []byte // of the present line
	event  int    // bytes of the present event, so far
	open   bool   // the present event has a line
	left   int    // bytes until the answer is too long
	err    error
}

func newStream(body io.Reader, change func([]byte) []byte) *stream {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEvent)
	return &stream{lines: lines, change: change, left: maxAnswer}
}

func (s *stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.err != nil || !s.next() {
			return 0, io.EOF
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// next puts the next line into s.rest; false at the end and after an error.
func (s *stream) next() bool {
	if !s.lines.Scan() {
		if s.err = s.lines.Err(); errors.Is(s.err, bufio.ErrTooLong) {
			s.err = errTooLong
		}
		return false
	}
	line := s.lines.Bytes()
	s.event += len(line)
	s.left -= len(line)
	switch {
	case len(line) == 0 && !s.open:
		return true
	case len(line) == 0:
		s.event, s.open = 0, false
		s.rest = []byte{'\n'}
		return true
	case line[0] == ':':
		s.event -= len(line)
		return true
	case s.event > maxEvent || s.left < 0:
		s.err = errTooLong
		return false
	case !utf8.Valid(line) || loneSurrogate(line):
		s.err = errCutRune
		return false
	}
	if s.change != nil {
		line = s.change(line)
	}
	if line == nil {
		return true
	}
	s.open = true
	s.rest = append(s.rest[:0:0], line...)
	s.rest = append(s.rest, '\n')
	return true
}

// Close implements io.Closer. The connection is the Call's to close.
func (s *stream) Close() error { return nil }

// loneSurrogate reports whether JSON text holds half a surrogate pair, escaped.
func loneSurrogate(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 >= len(text) {
			return false
		}
		unit, ok := escape(text[i:])
		if !ok {
			text = text[i+2:]
			continue
		}
		text = text[i+6:]
		switch {
		case unit >= 0xDC00 && unit < 0xE000:
			return true
		case unit >= 0xD800 && unit < 0xDC00:
			low, ok := escape(text)
			if !ok || low < 0xDC00 || low >= 0xE000 {
				return true
			}
			text = text[6:]
		}
	}
}

// escape reads a \uXXXX at the start of text.
func escape(text []byte) (unit rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		switch {
		case c >= '0' && c <= '9':
			unit = unit<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			unit = unit<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return unit, true
}
