package gguf_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/models/gguf"
	"retort/models/gguf/gguftest"
)

// FuzzRead holds Read to its promise: no panic, and a File that was returned
// can be used without further checks.
func FuzzRead(f *testing.F) {
	f.Add(sample().Bytes())
	f.Add(mixed(gguf.Q5_0, 22).Bytes())
	f.Add(gguftest.AppendPair(gguftest.Header(3, 0, 1), "ids", []uint32{})) // an empty list at the very end
	for _, c := range gguftest.Hostile() {
		if len(c.Data) < 1<<12 {
			f.Add(c.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		size := int64(len(data))
		file, err := gguf.Read(bytes.NewReader(data), size)
		if err != nil {
			return
		}
		end := int64(0)
		for _, tensor := range file.Tensors {
			if tensor.Offset < 0 || tensor.Size <= 0 || tensor.Offset > size-tensor.Size {
				t.Fatalf("tensor %+v outside of %d bytes", tensor, size)
			}
			if n, err := io.Copy(io.Discard, file.Data(tensor)); n != tensor.Size || err != nil {
				t.Fatalf("read %d of %+v: %v", n, tensor, err)
			}
			if tensor.Type == gguf.F32 || tensor.Type == gguf.F16 || tensor.Type == gguf.BF16 {
				if _, err := file.Floats(tensor); err != nil {
					t.Fatal(err)
				}
			}
			end += tensor.Size
		}
		if end > size {
			t.Fatalf("tensors take %d of %d bytes: they overlap", end, size)
		}
		if len(file.Tensors) > 0 {
			checkRetype(t, file)
		}
		for _, key := range file.Keys() {
			if _, _, err := file.Strings(key); err != nil {
				t.Fatal(err)
			}
			if _, _, err := file.Uints(key); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// checkRetype reads the header that Retype makes.
func checkRetype(t *testing.T, file *gguf.File) {
	l, err := file.Retype(toQ8)
	if err != nil {
		t.Fatal(err)
	}
	again, err := gguf.Read(bytes.NewReader(l.Header), l.Size)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l.Tensors, again.Tensors); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(file.Keys(), again.Keys()); diff != "" {
		t.Fatal(diff)
	}
}
