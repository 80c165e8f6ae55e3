package forms

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// ItemError is an error in one item of what is read.
type ItemError struct {
	Line int    // of JSON lines, from 1; 0 in a list or table
	Item int    // of a list or table, from 1; 0 in JSON lines
	Raw  []byte // the item as it stands, to be kept aside; nil where it is too long or could not be read
	Err  error
}

func (e *ItemError) Error() string {
	if e.Item > 0 {
		return fmt.Sprintf("item %d: %v", e.Item, e.Err)
	}
	return fmt.Sprintf("line %d: %v", e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *ItemError) Unwrap() error { return e.Err }

// source yields one item after the other.
type source interface {
	// next returns the next item, valid until the next call, and io.EOF after the
	// last one. Another error is an *ItemError; fatal says that nothing follows.
	next() (raw []byte, fatal bool, err error)
	// fault makes an error about the item that next returned last.
	fault(err error, raw []byte) *ItemError
	// offset is about how many bytes of the input have been worked on.
	offset() int64
}

// file is an input that can be read at any place; tables and archives must be.
type file interface {
	io.ReaderAt
	Size() int64
}

// How begins what is no text.
const (
	tableMagic   = "PAR1"
	archiveMagic = "PK"
)

// open finds out what r holds: a table, an archive, JSON lines or one list.
func open(r io.Reader) (source, error) {
	f, ok := r.(file)
	if !ok {
		return openText(r)
	}
	var head [len(tableMagic)]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch text := string(head[:n]); {
	case text == tableMagic:
		return openTable(f)
	case strings.HasPrefix(text, archiveMagic):
		return openArchive(f)
	}
	return openText(r)
}

// openText finds out whether r holds JSON lines or one list.
func openText(r io.Reader) (source, error) {
	count := &countingReader{r: r}
	buf := bufio.NewReaderSize(count, 64<<10)
	head, _ := buf.Peek(len(tableMagic))
	if text := string(head); text == tableMagic || strings.HasPrefix(text, archiveMagic) {
		return nil, errors.New("a Parquet table or ZIP is read from a file alone, not from a stream")
	}
	if head, _ := buf.Peek(len(byteOrderMark)); string(head) == byteOrderMark {
		_, _ = buf.Discard(len(byteOrderMark))
	}
	lines := &lineSource{countingReader: count, lines: lineReader{r: buf}}
	for {
		b, err := buf.ReadByte()
		switch {
		case err == io.EOF:
			return lines, nil
		case err != nil:
			return nil, &ItemError{Line: lines.line + 1, Err: err}
		case b == '\n':
			lines.line++
			continue
		case b == ' ' || b == '\t' || b == '\r':
			continue
		}
		_ = buf.UnreadByte() // it was just read
		if b == '[' {
			return newListSource(buf, count), nil
		}
		return lines, nil
	}
}

const byteOrderMark = "\ufeff"

// countingReader counts what was read through it.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countingReader) offset() int64 { return c.n }

// lineSource reads JSON lines; empty ones are skipped.
type lineSource struct {
	*countingReader
	lines lineReader
	line  int
}

func (s *lineSource) next() ([]byte, bool, error) {
	for {
		raw, err := s.lines.next()
		if err == io.EOF {
			return nil, true, err
		}
		s.line++
		if err != nil {
			return nil, !errors.Is(err, errLongLine), s.fault(err, nil)
		}
		if raw = bytes.TrimSpace(raw); len(raw) > 0 {
			return raw, false, nil
		}
	}
}

func (s *lineSource) fault(err error, raw []byte) *ItemError {
	return &ItemError{Line: s.line, Raw: bytes.Clone(raw), Err: err}
}

// listSource reads the items of one JSON list.
type listSource struct {
	*countingReader
	bound *boundedReader
	dec   *json.Decoder
	item  int
	raw   json.RawMessage
}

func newListSource(r io.Reader, count *countingReader) *listSource {
	bound := &boundedReader{r: r}
	return &listSource{countingReader: count, bound: bound, dec: json.NewDecoder(bound)}
}

func (s *listSource) next() ([]byte, bool, error) {
	s.bound.left = MaxItemSize
	if s.item == 0 {
		if _, err := s.dec.Token(); err != nil {
			return nil, true, s.broken(err)
		}
	}
	if !s.dec.More() {
		return nil, true, s.end()
	}
	s.item++
	s.raw = s.raw[:0]
	if err := s.dec.Decode(&s.raw); err != nil {
		return nil, true, s.fault(s.unexpected(err), nil)
	}
	return s.raw, false, nil
}

// end makes sure that the list is closed, and the last thing there is.
func (s *listSource) end() error {
	if _, err := s.dec.Token(); err != nil {
		return s.broken(err)
	}
	_, err := s.dec.Token()
	var syntax *json.SyntaxError
	switch {
	case err == io.EOF:
		return io.EOF
	case err == nil, errors.As(err, &syntax):
		err = errors.New("something follows the list")
	}
	return s.broken(err)
}

// broken makes an error about what follows the last item.
func (s *listSource) broken(err error) error {
	s.item++
	return s.fault(s.unexpected(err), nil)
}

func (s *listSource) unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (s *listSource) fault(err error, raw []byte) *ItemError {
	var compact bytes.Buffer // kept aside as one line
	if len(raw) > 0 && json.Compact(&compact, raw) == nil && utf8.Valid(raw) {
		raw = compact.Bytes()
	}
	return &ItemError{Item: s.item, Raw: bytes.Clone(raw), Err: err}
}

// boundedReader fails when more than left bytes are asked of it.
type boundedReader struct {
	r    io.Reader
	left int
}

var errLongItem = fmt.Errorf("the item is longer than %d MiB", MaxItemSize>>20)

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongItem
	}
	n, err := b.r.Read(p)
	b.left -= n
	return n, err
}
