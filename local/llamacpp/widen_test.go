package llamacpp

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/models/gguf"
	"retort/models/gguf/gguftest"
)

// tinyQ5 is a tiny model whose matrices the library has stored as Q5_0 in some
// layers.
func tinyQ5(t testing.TB, arch string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "all.gguf")
	if err := testEngine(t).Quantize(t.Context(), tinyModel(t, arch), path, "Q5_0"); err != nil {
		t.Fatal(err)
	}
	f, all := openGGUF(t, path), tinyTensors(arch)
	for i, tensor := range all {
		q, _ := f.Tensor(tensor.Name)
		if q.Type != gguf.Q5_0 || tensor.Name > "blk.3" {
			continue
		}
		data, err := io.ReadAll(f.Data(q))
		if err != nil {
			t.Fatal(err)
		}
		all[i].Type, all[i].Data = uint32(q.Type), data
	}
	return gguftest.File{Meta: tinyMeta(arch), Tensors: all}.Write(t, "q5.gguf")
}

// widenFile writes what the library is given in place of the file at path.
func widenFile(t *testing.T, path string) string {
	t.Helper()
	f := openGGUF(t, path)
	layout, err := f.Retype(wider)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "wide.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.Write(layout.Header); err != nil {
		t.Fatal(err)
	}
	if err := copyWidened(out, f, parts(f.Tensors, layout.Tensors), new(atomic.Bool)); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

func openGGUF(t testing.TB, path string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestWiden_everyNumber puts each of the 32 numbers of Q5_0 into each place of a
// block, with scales of all kinds.
func TestWiden_everyNumber(t *testing.T) {
	for _, scale := range []uint16{0x3c00, 0xb800, 0, 0x8000, 1, 0x83ff, 0x7bff, 0x7c00} {
		var in []byte
		for first := range 32 {
			in = append(in, packQ5(scale, func(i int) int { return (first+i)%32 - 16 })...)
		}
		out := make([]byte, len(in)/q5Block*q8Block)
		widen(out, in)
		for first := range 32 {
			block := out[first*q8Block:][:q8Block]
			if got := binary.LittleEndian.Uint16(block); got != scale {
				t.Fatalf("scale %x, want %x", got, scale)
			}
			for i, b := range block[2:] {
				if want := (first+i)%32 - 16; int(int8(b)) != want {
					t.Fatalf("number %d of block %d is %d, want %d", i, first, int8(b), want)
				}
			}
		}
	}
}

// packQ5 makes a block of Q5_0 as ggml describes it.
func packQ5(scale uint16, number func(i int) int) []byte {
	block := binary.LittleEndian.AppendUint16(nil, scale)
	var fifth uint32
	var low [16]byte
	for i := range 32 {
		q := uint32(number(i) + 16)
		fifth |= q >> 4 << i
		low[i%16] |= byte(q&15) << (i / 16 * 4)
	}
	return append(binary.LittleEndian.AppendUint32(block, fifth), low[:]...)
}

// TestWiden_asTheLibraryUnpacksIt has the library turn a file and its widened
// copy into 32-bit floats.
func TestWiden_asTheLibraryUnpacksIt(t *testing.T) {
	path := tinyQ5(t, "gemma3")
	if growth(openGGUF(t, path)) == 0 {
		t.Fatal("nothing to widen")
	}
	var unpacked []*gguf.File
	for _, in := range []string{path, widenFile(t, path)} {
		out := filepath.Join(t.TempDir(), "f32.gguf")
		if err := testEngine(t).Quantize(t.Context(), in, out, "F32"); err != nil {
			t.Fatal(err)
		}
		unpacked = append(unpacked, openGGUF(t, out))
	}
	for _, tensor := range unpacked[0].Tensors {
		want, err := unpacked[0].Floats(tensor)
		if err != nil {
			t.Fatal(err)
		}
		same, _ := unpacked[1].Tensor(tensor.Name)
		if got, err := unpacked[1].Floats(same); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s differs (%v)", tensor.Name, err)
		}
	}
}

// TestWiden_realModel compares a real file with its widened copy.
func TestWiden_realModel(t *testing.T) {
	path := testFile(t, gemma)
	wide := widenFile(t, path)
	f, w := openGGUF(t, path), openGGUF(t, wide)
	if got, want := uint64(w.Size()-f.Size()), growth(f); got != want || want == 0 {
		t.Errorf("it grew by %d bytes, want %d", got, want)
	}
	if diff := cmp.Diff(metadata(t, f), metadata(t, w)); diff != "" {
		t.Error(diff)
	}
	if len(f.Tensors) != len(w.Tensors) {
		t.Fatalf("%d tensors, want %d", len(w.Tensors), len(f.Tensors))
	}
	for i, a := range f.Tensors {
		b := w.Tensors[i]
		if a.Name != b.Name || !slices.Equal(a.Dims, b.Dims) || b.Type != wider(a) {
			t.Fatalf("%+v became %+v", a, b)
		}
		if got, want := numbers(t, w, b), numbers(t, f, a); !bytes.Equal(got, want) {
			t.Errorf("%s differs", a.Name)
		}
	}
}

// metadata is all that the header of f says, by its keys.
func metadata(t *testing.T, f *gguf.File) map[string]any {
	t.Helper()
	all := make(map[string]any)
	for _, key := range f.Keys() {
		text, _ := f.String(key)
		number, _ := f.Uint(key)
		float, _ := f.Float(key)
		list, _, err := f.Strings(key)
		if err != nil {
			t.Fatal(err)
		}
		counts, _, err := f.Uints(key)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := f.Len(key)
		all[key] = []any{text, number, float, list, counts, size}
	}
	return all
}

// numbers is the data of t, of Q5_0 as scale and bytes as in Q8_0, one by one.
func numbers(t *testing.T, f *gguf.File, tensor gguf.Tensor) []byte {
	t.Helper()
	data, err := io.ReadAll(f.Data(tensor))
	if err != nil {
		t.Fatal(err)
	}
	if tensor.Type != gguf.Q5_0 {
		return data
	}
	var out []byte
	for block := range slices.Chunk(data, q5Block) {
		fifth, low := binary.LittleEndian.Uint32(block[2:]), block[6:]
		out = append(out, block[:2]...)
		for i := range 32 {
			q := int(low[i%16]>>(i/16*4)&15) | int(fifth>>i&1)<<4
			out = append(out, byte(int8(q-16)))
		}
	}
	return out
}

func TestGrowth_onlySomeMatricesOfOneFile(t *testing.T) {
	matrix := gguftest.Tensor{Name: "a", Dims: []uint64{32, 2}, Type: uint32(gguf.Q5_0), Data: make([]byte, 44)}
	vector := gguftest.Tensor{Name: "b", Dims: []uint64{32}, Type: uint32(gguf.Q5_0), Data: make([]byte, 22)}
	other := gguftest.Tensor{Name: "c", Dims: []uint64{32, 2}, Type: uint32(gguf.Q8_0), Data: make([]byte, 68)}
	for name, c := range map[string]struct {
		file gguftest.File
		want uint64
	}{
		"all":   {gguftest.File{Tensors: []gguftest.Tensor{matrix, vector, other}}, 24},
		"none":  {gguftest.File{Tensors: []gguftest.Tensor{vector, other}}, 0},
		"most":  {gguftest.File{Tensors: []gguftest.Tensor{matrix}}, 0},
		"whole": {gguftest.File{Meta: []gguftest.Pair{{Key: "split.count", Value: uint16(1)}}, Tensors: []gguftest.Tensor{matrix, other}}, 24},
		"split": {gguftest.File{Meta: []gguftest.Pair{{Key: "split.count", Value: uint16(2)}}, Tensors: []gguftest.Tensor{matrix, other}}, 0},
	} {
		if got := growth(openGGUF(t, c.file.Write(t, "x.gguf"))); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestCopyWidened_pieces cuts tensors of more than a piece, and ends where its
// source does.
func TestCopyWidened_pieces(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, piece+3*q5Block)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	file := gguftest.File{Tensors: []gguftest.Tensor{
		{Name: "a", Dims: []uint64{32, uint64(len(data) / q5Block)}, Type: uint32(gguf.Q5_0), Data: data},
		{Name: "b", Dims: []uint64{uint64(len(data))}, Type: 24, Data: data},
	}}
	path := file.Write(t, "x.gguf")
	f, w := openGGUF(t, path), openGGUF(t, widenFile(t, path))
	for i := range f.Tensors {
		if !bytes.Equal(numbers(t, w, w.Tensors[i]), numbers(t, f, f.Tensors[i])) {
			t.Errorf("%s differs", f.Tensors[i].Name)
		}
	}
	if err := os.Truncate(path, f.Size()-1); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "cut.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := copyWidened(out, f, parts(f.Tensors, w.Tensors), new(atomic.Bool)); err == nil {
		t.Error("the file is cut short, and no error")
	}
}

func BenchmarkWiden(b *testing.B) {
	in := bytes.Repeat(packQ5(0x3c00, func(i int) int { return int(16 * math.Sin(float64(i))) }), piece/q5Block)
	out := make([]byte, piece/q5Block*q8Block)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		widen(out, in)
	}
}
