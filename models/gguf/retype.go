package gguf

import (
	"encoding/binary"
	"io"
	"math"
)

// Layout is where things lie in a file that is not written yet.
type Layout struct {
	Header  []byte   // all that comes before the data of the tensors
	Tensors []Tensor // in the order of the header; between them may lie up to Alignment bytes, which say nothing
	Size    int64    // of the whole file
}

// Retype lays out a file with the metadata and the tensors of f, each of the
// type that to gives it. The data lies in the order of the header, as the engine
// wants it. The header is read from the file once more, which may have changed.
func (f *File) Retype(to func(Tensor) Type) (Layout, error) {
	l := Layout{Header: make([]byte, f.start), Size: f.start}
	if _, err := io.ReadFull(io.NewSectionReader(f.r, 0, f.start), l.Header); err != nil {
		return Layout{}, within(err, "gguf: read header")
	}
	for i, t := range f.Tensors {
		var err error
		t.Type = to(t)
		if t.Size, err = sizeOf(t.Dims, t.Type); err != nil {
			return Layout{}, within(err, "gguf: tensor %q", t.Name)
		}
		var ok bool
		if t.Offset, ok = alignUp(l.Size, f.Alignment); !ok || t.Size > math.MaxInt64-t.Offset {
			return Layout{}, faultf(ErrMalformed, "gguf: tensor %q ends past any file", t.Name)
		}
		l.Size = t.Offset + t.Size
		l.Tensors = append(l.Tensors, t)
		typeField := l.Header[f.typeFields[i]:]
		binary.LittleEndian.PutUint32(typeField, uint32(t.Type))
		binary.LittleEndian.PutUint64(typeField[4:], uint64(t.Offset-f.start))
	}
	return l, nil
}
