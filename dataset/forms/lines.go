package forms

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// Sizes that are read, in bytes. A line that is longer is left out; an item of a
// list ends the reading, since where it ends cannot be known without reading on.
const (
	MaxLineSize = 16 << 20
	MaxItemSize = 64 << 20 // a tree of ChatGPT's has much beside its text
)

var errLongLine = fmt.Errorf("the line is longer than %d MiB", MaxLineSize>>20)

// lineReader cuts a stream into lines of bounded length.
type lineReader struct {
	r    *bufio.Reader
	line []byte // reused
}

// next returns the next line; io.EOF after the last one. The line is valid until
// the next call. A line that is too long is skipped whole.
func (l *lineReader) next() ([]byte, error) {
	l.line = l.line[:0]
	long := false
	for {
		piece, err := l.r.ReadSlice('\n')
		if !long {
			l.line = append(l.line, piece...)
			long = len(bytes.TrimRight(l.line, "\r\n")) > MaxLineSize
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err != nil && err != io.EOF:
			return nil, err
		case long:
			return nil, errLongLine
		case err == io.EOF && len(l.line) == 0:
			return nil, io.EOF
		}
		return l.line, nil
	}
}
