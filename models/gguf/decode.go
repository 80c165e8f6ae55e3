package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// The least bytes that one entry of the header can take: a name of one byte
// and the fixed fields. They bound the counts before anything is allocated.
const (
	minPair       = 8 + 1 + 4 + 1
	minTensorInfo = 8 + 1 + 4 + 8 + 4 + 8
)

// decoder reads a header from its start to its end. Its methods never allocate
// or skip more than the file still holds.
type decoder struct {
	buf  *bufio.Reader
	pos  int64 // bytes taken so far
	size int64 // bytes of the whole file
	word [8]byte
}

// need reports an error if n more bytes are not there.
func (d *decoder) need(n uint64) error {
	if n > uint64(d.size-d.pos) {
		return faultf(ErrTruncated, "needs %d bytes at offset %d, past the end of the file (%d bytes)", n, d.pos, d.size)
	}
	if n > uint64(maxHeader-d.pos) {
		return faultf(ErrMalformed, "header is larger than %d MiB", maxHeader>>20)
	}
	return nil
}

// bytes returns the next n bytes, which the caller owns.
func (d *decoder) bytes(n uint64) ([]byte, error) {
	if err := d.need(n); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(d.buf, b); err != nil {
		return nil, d.readError(err)
	}
	d.pos += int64(n)
	return b, nil
}

func (d *decoder) skip(n uint64) error {
	if err := d.need(n); err != nil {
		return err
	}
	if _, err := d.buf.Discard(int(n)); err != nil {
		return d.readError(err)
	}
	d.pos += int64(n)
	return nil
}

// readError tells a file that shrank while it was read from a disk that failed.
func (d *decoder) readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return faultf(ErrTruncated, "file ended at offset %d while it was read", d.pos)
	}
	return err
}

// uint returns the next n (at most 8) bytes as a little-endian number.
func (d *decoder) uint(n int) (uint64, error) {
	if err := d.need(uint64(n)); err != nil {
		return 0, err
	}
	clear(d.word[n:])
	if _, err := io.ReadFull(d.buf, d.word[:n]); err != nil {
		return 0, d.readError(err)
	}
	d.pos += int64(n)
	return binary.LittleEndian.Uint64(d.word[:]), nil
}

// text returns the next string, of at most limit bytes.
func (d *decoder) text(limit uint64) (string, error) {
	n, err := d.uint(8)
	if err != nil {
		return "", err
	}
	if err := d.need(n); err != nil {
		return "", err
	}
	if n > limit {
		return "", faultf(ErrMalformed, "string of %d bytes at offset %d is longer than %d", n, d.pos, limit)
	}
	b, err := d.bytes(n)
	return string(b), err
}

// name returns the next string as the name of a key or tensor.
func (d *decoder) name(limit uint64) (string, error) {
	s, err := d.text(limit)
	switch {
	case err != nil:
		return "", err
	case s == "":
		return "", faultf(ErrMalformed, "name is empty")
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		// A zero byte would end the name early for a C loader.
		return "", faultf(ErrMalformed, "name %q is not UTF-8 text", s)
	}
	return s, nil
}

func (d *decoder) version() (uint32, error) {
	b, err := d.bytes(min(uint64(len(magic)), uint64(max(d.size, 0))))
	if err != nil {
		return 0, err
	}
	if string(b) != magic {
		return 0, faultf(ErrNotGGUF, "not a GGUF file: it starts with %q, not %q", b, magic)
	}
	v, err := d.uint(4)
	switch {
	case err != nil:
		return 0, within(err, "version")
	case v == 2 || v == 3:
		return uint32(v), nil
	case v&0xffff == 0 && v != 0:
		return 0, faultf(ErrMalformed, "big-endian files are not supported")
	}
	return 0, faultf(ErrMalformed, "version %d is not supported, only 2 and 3", v)
}

// count returns the next 64-bit count of entries that take at least least
// bytes each.
func (d *decoder) count(what string, least int64) (int, error) {
	n, err := d.uint(8)
	if err != nil {
		return 0, within(err, "%s count", what)
	}
	if n > uint64((d.size-d.pos)/least) {
		return 0, faultf(ErrTruncated, "%s count %d does not fit in %d bytes", what, n, d.size)
	}
	if n > maxEntries {
		return 0, faultf(ErrMalformed, "%s count %d is more than %d", what, n, maxEntries)
	}
	return int(n), nil
}
