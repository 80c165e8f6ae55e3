package gguf

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
)

// The engine's own limits.
const (
	maxDims       = 4
	maxTensorName = 63 // bytes
)

// typeFieldSize is what a tensor's type and offset take, which end its
// description.
const typeFieldSize = 4 + 8

// Tensor is the place and shape of one tensor.
type Tensor struct {
	Name   string
	Dims   []uint64 // 1 to 4, none 0; the first is the one whose elements lie side by side
	Type   Type
	Offset int64 // of its first byte in the file
	Size   int64 // in bytes
}

// Elements returns the number of elements.
func (t Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Dims {
		n *= int64(d)
	}
	return n
}

// Tensor returns the tensor of that name; false if there is none.
func (f *File) Tensor(name string) (Tensor, bool) {
	i := slices.IndexFunc(f.Tensors, func(t Tensor) bool { return t.Name == name })
	if i < 0 {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Data returns a reader of the bytes of t.
func (f *File) Data(t Tensor) *io.SectionReader {
	return io.NewSectionReader(f.r, t.Offset, t.Size)
}

// readTensors reads n tensor descriptions, which end the header, and checks
// where their data lies.
func (f *File) readTensors(d *decoder, n int) error {
	seen := make(map[string]bool, n)
	f.Tensors = make([]Tensor, 0, n)
	for i := range n {
		t, err := d.tensor()
		if err != nil {
			return within(err, "tensor %d%s", i, quoted(t.Name))
		}
		if seen[t.Name] {
			return faultf(ErrMalformed, "tensor %d %q is there twice", i, t.Name)
		}
		seen[t.Name] = true
		f.Tensors = append(f.Tensors, t)
		f.typeFields = append(f.typeFields, d.pos-typeFieldSize)
	}
	return f.place(d.pos, d.size)
}

// quoted returns " \"name\"", or nothing for a name that was not read.
func quoted(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" %q", name)
}

// tensor reads one description. Its Offset still counts from the start of the
// data, and is not yet checked. With an error it returns what it knows.
func (d *decoder) tensor() (t Tensor, err error) {
	if t.Name, err = d.name(maxTensorName); err != nil {
		return t, err
	}
	if t.Dims, err = d.dims(); err != nil {
		return t, err
	}
	typ, err := d.uint(4)
	if err != nil {
		return t, err
	}
	t.Type = Type(typ)
	if t.Size, err = sizeOf(t.Dims, t.Type); err != nil {
		return t, err
	}
	offset, err := d.uint(8)
	if err != nil {
		return t, err
	}
	if offset > math.MaxInt64 {
		return t, faultf(ErrTruncated, "ends past the file")
	}
	t.Offset = int64(offset)
	return t, nil
}

func (d *decoder) dims() ([]uint64, error) {
	n, err := d.uint(4)
	if err != nil {
		return nil, err
	}
	if n == 0 || n > maxDims {
		return nil, faultf(ErrMalformed, "has %d dimensions, not 1 to %d", n, maxDims)
	}
	dims := make([]uint64, n)
	for i := range dims {
		if dims[i], err = d.uint(8); err != nil {
			return nil, err
		}
		if dims[i] == 0 {
			return nil, faultf(ErrMalformed, "dimension %d is 0", i)
		}
	}
	return dims, nil
}

// sizeOf returns the bytes of a tensor, none of whose dims is 0.
func sizeOf(dims []uint64, typ Type) (int64, error) {
	block, bytes := typ.block()
	if block == 0 {
		return 0, faultf(ErrMalformed, "has unknown type %d", uint32(typ))
	}
	if dims[0]%block != 0 {
		return 0, faultf(ErrMalformed, "has rows of %d elements, not a multiple of %s's block of %d", dims[0], typ, block)
	}
	elements := uint64(1)
	for _, d := range dims {
		hi, lo := bits.Mul64(elements, d)
		if hi != 0 || lo > math.MaxInt64 {
			return 0, faultf(ErrMalformed, "has %d elements or more, too many to count", uint64(math.MaxInt64))
		}
		elements = lo
	}
	hi, size := bits.Mul64(elements/block, bytes)
	if hi != 0 || size > math.MaxInt64 {
		return 0, faultf(ErrMalformed, "is larger than any file")
	}
	return int64(size), nil
}

// place turns offsets into places in the file, whose header ends at end.
func (f *File) place(end, size int64) error {
	start, ok := alignUp(end, f.Alignment)
	if !ok || len(f.Tensors) > 0 && start > size {
		return faultf(ErrTruncated, "tensor data starts past the file")
	}
	f.start = start
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if t.Offset%f.Alignment != 0 {
			return faultf(ErrMalformed, "tensor %d %q is at offset %d, not a multiple of %d", i, t.Name, t.Offset, f.Alignment)
		}
		if t.Offset > size-start || t.Size > size-start-t.Offset {
			return faultf(ErrTruncated, "tensor %d %q ends past the file", i, t.Name)
		}
		t.Offset += start
	}
	return f.checkOverlap()
}

func (f *File) checkOverlap() error {
	order := make([]int, len(f.Tensors))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Compare(f.Tensors[a].Offset, f.Tensors[b].Offset)
	})
	for n := 1; n < len(order); n++ {
		a, b := f.Tensors[order[n-1]], f.Tensors[order[n]]
		if a.Offset+a.Size > b.Offset {
			return faultf(ErrMalformed, "tensor %d %q overlaps tensor %d %q", order[n], b.Name, order[n-1], a.Name)
		}
	}
	return nil
}
