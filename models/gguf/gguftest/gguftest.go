// Package gguftest makes small GGUF files for tests: sound ones with
// [File.Bytes], and a corpus of hostile ones with [Hostile].
package gguftest

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
)

var le = binary.LittleEndian

// Pair is one metadata entry. Its value is a bool, a sized number, a string or
// a slice of strings, uint32 or float32.
type Pair struct {
	Key   string
	Value any
}

// Tensor is one tensor with its data as stored.
type Tensor struct {
	Name string
	Dims []uint64
	Type uint32
	Data []byte
}

// F32 returns a tensor of 32-bit floats.
func F32(name string, dims []uint64, values []float32) Tensor {
	var data []byte
	for _, v := range values {
		data = le.AppendUint32(data, math.Float32bits(v))
	}
	return Tensor{Name: name, Dims: dims, Type: 0, Data: data}
}

// File is a sound GGUF file of version 3 with an alignment of 32.
type File struct {
	Meta    []Pair
	Tensors []Tensor
}

// Bytes encodes f.
func (f File) Bytes() []byte {
	b := Header(3, uint64(len(f.Tensors)), uint64(len(f.Meta)))
	for _, p := range f.Meta {
		b = AppendPair(b, p.Key, p.Value)
	}
	var data []byte
	for _, t := range f.Tensors {
		data = pad(data)
		b = AppendTensor(b, t.Name, t.Dims, t.Type, uint64(len(data)))
		data = append(data, t.Data...)
	}
	return append(pad(b), data...)
}

// Write writes f to a new file in a folder of the test and returns its path.
func (f File) Write(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, f.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pad(b []byte) []byte {
	for len(b)%32 != 0 {
		b = append(b, 0)
	}
	return b
}

// Header returns the first 24 bytes of a file.
func Header(version uint32, tensors, pairs uint64) []byte {
	b := le.AppendUint32([]byte("GGUF"), version)
	b = le.AppendUint64(b, tensors)
	return le.AppendUint64(b, pairs)
}

// AppendString appends a string with its length.
func AppendString(b []byte, s string) []byte {
	b = le.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

// AppendPair appends a metadata entry; see Pair for the types of value.
func AppendPair(b []byte, key string, value any) []byte {
	b = AppendString(b, key)
	switch v := value.(type) {
	case string:
		b = le.AppendUint32(b, kindString)
		return AppendString(b, v)
	case []string:
		b = appendArray(b, kindString, len(v))
		for _, s := range v {
			b = AppendString(b, s)
		}
		return b
	case []uint32:
		return appendAll(appendArray(b, kindUint32, len(v)), v)
	case []int32:
		return appendAll(appendArray(b, kindInt32, len(v)), v)
	case []float32:
		return appendAll(appendArray(b, kindFloat32, len(v)), v)
	}
	return appendAll(le.AppendUint32(b, kindOf(value)), value)
}

// AppendTensor appends the description of a tensor. The offset counts from
// the start of the data.
func AppendTensor(b []byte, name string, dims []uint64, typ uint32, offset uint64) []byte {
	b = AppendString(b, name)
	b = le.AppendUint32(b, uint32(len(dims)))
	for _, d := range dims {
		b = le.AppendUint64(b, d)
	}
	b = le.AppendUint32(b, typ)
	return le.AppendUint64(b, offset)
}

// The numbers of the kinds that are written by name.
const (
	kindUint32  = 4
	kindInt32   = 5
	kindFloat32 = 6
	kindBool    = 7
	kindString  = 8
	kindArray   = 9
)

func kindOf(value any) uint32 {
	switch value.(type) {
	case uint8:
		return 0
	case int8:
		return 1
	case uint16:
		return 2
	case int16:
		return 3
	case uint32:
		return kindUint32
	case int32:
		return 5
	case float32:
		return kindFloat32
	case bool:
		return kindBool
	case uint64:
		return 10
	case int64:
		return 11
	case float64:
		return 12
	}
	panic(fmt.Sprintf("gguftest: no kind for %T", value))
}

func appendArray(b []byte, elem uint32, n int) []byte {
	b = le.AppendUint32(b, kindArray)
	b = le.AppendUint32(b, elem)
	return le.AppendUint64(b, uint64(n))
}

func appendAll(b []byte, data any) []byte {
	b, err := binary.Append(b, le, data)
	if err != nil {
		panic("gguftest: " + err.Error())
	}
	return b
}
