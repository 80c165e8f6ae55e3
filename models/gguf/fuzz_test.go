package gguf_test

import (
	"bytes"
	"io"
	"testing"

	"retort/models/gguf"
	"retort/models/gguf/gguftest"
)

// FuzzRead holds Read to its promise: no panic, and a File that was returned
// can be used without further checks.
func FuzzRead(f *testing.F) {
	f.Add(sample().Bytes())
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
