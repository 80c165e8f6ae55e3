package gguf_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/models/gguf"
	"retort/models/gguf/gguftest"
)

// mixed has a tensor of Q5_0 between others, or the same one as Q8_0.
func mixed(typ gguf.Type, block int) gguftest.File {
	return gguftest.File{Meta: sample().Meta, Tensors: []gguftest.Tensor{
		gguftest.F32("first", []uint64{3}, []float32{1, 2, 3}),
		{Name: "middle", Dims: []uint64{32, 3}, Type: uint32(typ), Data: make([]byte, 3*block)},
		gguftest.F32("last", []uint64{1}, []float32{4}),
	}}
}

func toQ8(t gguf.Tensor) gguf.Type {
	if t.Type == gguf.Q5_0 {
		return gguf.Q8_0
	}
	return t.Type
}

func TestRetype(t *testing.T) {
	got, err := read(t, mixed(gguf.Q5_0, 22).Bytes()).Retype(toQ8)
	if err != nil {
		t.Fatal(err)
	}
	data := mixed(gguf.Q8_0, 34).Bytes()
	want := read(t, data)
	if diff := cmp.Diff(want.Tensors, got.Tensors); diff != "" {
		t.Error(diff)
	}
	if start := want.Tensors[0].Offset; !bytes.Equal(got.Header, data[:start]) {
		t.Errorf("header %q, want %q", got.Header, data[:start])
	}
	if got.Size != int64(len(data)) {
		t.Errorf("size %d, want %d", got.Size, len(data))
	}
}

func TestRetype_refusesWhatCannotBe(t *testing.T) {
	f := read(t, mixed(gguf.Q5_0, 22).Bytes())
	for _, typ := range []gguf.Type{4, 14} { // unknown, and with blocks of 256
		if _, err := f.Retype(func(gguf.Tensor) gguf.Type { return typ }); !errors.Is(err, gguf.ErrMalformed) {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

func TestRetype_fileShrank(t *testing.T) {
	path := mixed(gguf.Q5_0, 22).Write(t, "x.gguf")
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Retype(toQ8); err == nil {
		t.Error("no error")
	}
}
