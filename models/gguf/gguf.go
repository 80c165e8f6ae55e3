// Package gguf reads the header of GGUF files (versions 2 and 3, little
// endian): metadata and the place of every tensor.
//
// Start with [Check] before a file is handed to a C loader, or with [Open] to
// look inside. A [File] that was returned is sound: each count, length, offset
// and size in it was checked against the real size of the file before anything
// was allocated for it, so no later arithmetic on them can overflow or leave
// the file. Errors wrap [ErrNotGGUF], [ErrTruncated] or [ErrMalformed], or are
// those of the operating system.
package gguf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// What can be wrong with a file.
var (
	ErrNotGGUF   = errors.New("not a GGUF file")
	ErrTruncated = errors.New("GGUF file is cut short")
	ErrMalformed = errors.New("GGUF file is malformed")
)

// Limits far above any real model, so that a hostile header costs little.
const (
	maxHeader  = 256 << 20 // bytes before the tensor data
	maxString  = 16 << 20  // bytes of one metadata string
	maxEntries = 1 << 16   // metadata keys, and tensors
	maxKey     = 1<<16 - 1 // bytes, by the specification
)

const (
	magic            = "GGUF"
	defaultAlignment = 32
	minAlignment     = 8
	maxAlignment     = 4096
)

// File is the checked header of a GGUF file. It is safe for concurrent use.
type File struct {
	Version   uint32   // 2 or 3
	Alignment int64    // of tensor data, in bytes
	Tensors   []Tensor // in the order of the header

	size       int64
	start      int64   // of the tensor data
	typeFields []int64 // where the header says each tensor's type, and behind it the offset
	keys       []string
	values     map[string]value
	r          io.ReaderAt
	closer     io.Closer // nil when made by Read
}

// Open reads and checks the header of the file at path. The caller closes it.
func Open(path string) (*File, error) {
	// A pipe would block in open, so look before opening.
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("gguf %q: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("gguf %q: %w", path, faultf(ErrNotGGUF, "not a regular file"))
	}
	osf, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gguf %q: %w", path, err)
	}
	if info, err = osf.Stat(); err != nil {
		osf.Close()
		return nil, fmt.Errorf("gguf %q: %w", path, err)
	}
	f, err := parse(osf, info.Size())
	if err != nil {
		osf.Close()
		return nil, fmt.Errorf("gguf %q: %w", path, err)
	}
	f.closer = osf
	return f, nil
}

// Read reads and checks a header from the first size bytes of r, which the
// File goes on using.
func Read(r io.ReaderAt, size int64) (*File, error) {
	f, err := parse(r, size)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	return f, nil
}

// Check reports what is wrong with the file at path, and nil if nothing is.
func Check(path string) error {
	f, err := Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// Size returns the size of the whole file in bytes.
func (f *File) Size() int64 { return f.size }

// Close closes a file that Open opened.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// fault is an error whose text names the place and which is one of the
// sentinels to errors.Is.
type fault struct {
	kind error
	text string
}

func (e *fault) Error() string { return e.text }
func (e *fault) Unwrap() error { return e.kind }

func faultf(kind error, format string, args ...any) error {
	return &fault{kind, fmt.Sprintf(format, args...)}
}

func parse(r io.ReaderAt, size int64) (*File, error) {
	d := &decoder{
		buf:  bufio.NewReaderSize(io.NewSectionReader(r, 0, max(size, 0)), 1<<16),
		size: size,
	}
	f := &File{Alignment: defaultAlignment, size: size, values: map[string]value{}, r: r}
	var err error
	if f.Version, err = d.version(); err != nil {
		return nil, err
	}
	tensors, err := d.count("tensor", minTensorInfo)
	if err != nil {
		return nil, err
	}
	pairs, err := d.count("metadata", minPair)
	if err != nil {
		return nil, err
	}
	for i := range pairs {
		if err := f.readPair(d, i); err != nil {
			return nil, err
		}
	}
	if err := f.setAlignment(); err != nil {
		return nil, err
	}
	if err := f.readTensors(d, tensors); err != nil {
		return nil, err
	}
	return f, nil
}

// setAlignment takes the alignment from the metadata, if it is there.
func (f *File) setAlignment() error {
	const key = "general.alignment"
	v, ok := f.values[key]
	if !ok {
		return nil
	}
	if v.kind != kindUint32 {
		return faultf(ErrMalformed, "%s is of type %s, not uint32", key, v.kind)
	}
	a := v.bits
	if a < minAlignment || a > maxAlignment || a&(a-1) != 0 {
		return faultf(ErrMalformed, "%s is %d, not a power of two from %d to %d", key, a, minAlignment, maxAlignment)
	}
	f.Alignment = int64(a)
	return nil
}

// alignUp rounds n up to a multiple of a, a power of two. It reports false
// when the result does not fit.
func alignUp(n, a int64) (int64, bool) {
	if n > math.MaxInt64-a {
		return 0, false
	}
	return (n + a - 1) &^ (a - 1), true
}
