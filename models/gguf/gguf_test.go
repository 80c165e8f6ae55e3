package gguf_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/models/gguf"
	"retort/models/gguf/gguftest"
)

// sample has every kind of metadata and tensors of three types.
func sample() gguftest.File {
	return gguftest.File{
		Meta: []gguftest.Pair{
			{Key: "general.architecture", Value: "llama"},
			{Key: "u8", Value: uint8(200)}, {Key: "i8", Value: int8(-3)},
			{Key: "u16", Value: uint16(60_000)}, {Key: "i16", Value: int16(30_000)},
			{Key: "u32", Value: uint32(4_000_000_000)}, {Key: "i32", Value: int32(-1)},
			{Key: "u64", Value: uint64(math.MaxUint64)}, {Key: "i64", Value: int64(7)},
			{Key: "f32", Value: float32(0.5)}, {Key: "f64", Value: 0.1},
			{Key: "yes", Value: true}, {Key: "no", Value: false},
			{Key: "words", Value: []string{"a", "", "déjà"}},
			{Key: "ids", Value: []uint32{1, 2, 3, 4}},
			{Key: "heads", Value: []int32{2, 0, 1}}, {Key: "signed", Value: []int32{2, -1}},
		},
		Tensors: []gguftest.Tensor{
			gguftest.F32("first", []uint64{3}, []float32{1, -2, 0.25}),
			{Name: "half", Dims: []uint64{2, 2}, Type: uint32(gguf.F16), Data: []byte{0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0x00, 0x7c}},
			{Name: "brain", Dims: []uint64{2}, Type: uint32(gguf.BF16), Data: []byte{0x80, 0x3f, 0x20, 0xc1}},
			{Name: "q", Dims: []uint64{32, 2}, Type: 2, Data: make([]byte, 36)},
		},
	}
}

func read(t *testing.T, data []byte) *gguf.File {
	t.Helper()
	f, err := gguf.Read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRead_metadata(t *testing.T) {
	f := read(t, sample().Bytes())
	type number struct {
		V  uint64
		OK bool
	}
	wantUint := map[string]number{
		"u8": {200, true}, "u16": {60_000, true}, "i16": {30_000, true}, "u32": {4_000_000_000, true},
		"u64": {math.MaxUint64, true}, "i64": {7, true},
		"i8": {math.MaxUint64 - 2, false}, "i32": {math.MaxUint64, false}, "f32": {}, "yes": {}, "words": {}, "none": {},
	}
	for key, want := range wantUint {
		v, ok := f.Uint(key)
		if diff := cmp.Diff(want, number{v, ok}); diff != "" {
			t.Errorf("Uint(%q): %s", key, diff)
		}
	}
	if s, ok := f.String("general.architecture"); s != "llama" || !ok {
		t.Errorf("String = %q, %v", s, ok)
	}
	if _, ok := f.String("u8"); ok {
		t.Error("String of a number is there")
	}
	if v, ok := f.Float("f32"); v != 0.5 || !ok {
		t.Errorf("Float(f32) = %v, %v", v, ok)
	}
	if v, ok := f.Float("f64"); v != 0.1 || !ok {
		t.Errorf("Float(f64) = %v, %v", v, ok)
	}
	if _, ok := f.Float("none"); ok {
		t.Error("Float of a missing key is there")
	}
	for key, want := range map[string]bool{"yes": true, "no": false} {
		if v, ok := f.Bool(key); v != want || !ok {
			t.Errorf("Bool(%q) = %v, %v", key, v, ok)
		}
	}
	if n, ok := f.Len("ids"); n != 4 || !ok {
		t.Errorf("Len(ids) = %d, %v", n, ok)
	}
	words, ok, err := f.Strings("words")
	if diff := cmp.Diff([]string{"a", "", "déjà"}, words); diff != "" || !ok || err != nil {
		t.Errorf("Strings: %v %v %s", ok, err, diff)
	}
	if _, ok, err := f.Strings("ids"); ok || err != nil {
		t.Errorf("Strings of numbers: %v, %v", ok, err)
	}
	for key, want := range map[string][]uint64{"ids": {1, 2, 3, 4}, "heads": {2, 0, 1}, "signed": nil, "words": nil, "u8": nil, "none": nil} {
		list, ok, err := f.Uints(key)
		if diff := cmp.Diff(want, list); diff != "" || ok != (want != nil) || err != nil {
			t.Errorf("Uints(%q): %v %v %s", key, ok, err, diff)
		}
	}
	if keys := f.Keys(); len(keys) != 17 || keys[1] != "u8" {
		t.Errorf("Keys = %q", keys)
	}
}

func TestRead_tensors(t *testing.T) {
	data := sample().Bytes()
	f := read(t, data)
	start := int64(len(data)) - 36 - 3*32 // three padded tensors before the last
	want := []gguf.Tensor{
		{Name: "first", Dims: []uint64{3}, Type: gguf.F32, Offset: start, Size: 12},
		{Name: "half", Dims: []uint64{2, 2}, Type: gguf.F16, Offset: start + 32, Size: 8},
		{Name: "brain", Dims: []uint64{2}, Type: gguf.BF16, Offset: start + 64, Size: 4},
		{Name: "q", Dims: []uint64{32, 2}, Type: 2, Offset: start + 96, Size: 36},
	}
	if diff := cmp.Diff(want, f.Tensors); diff != "" {
		t.Error(diff)
	}
	if f.Version != 3 || f.Alignment != 32 {
		t.Errorf("version %d, alignment %d", f.Version, f.Alignment)
	}
	if got := f.Tensors[3].Type.String(); got != "Q4_0" {
		t.Errorf("type = %s", got)
	}
	if _, ok := f.Tensor("none"); ok {
		t.Error("a missing tensor is there")
	}
}

func TestFloats(t *testing.T) {
	f := read(t, sample().Bytes())
	want := map[string][]float32{
		"first": {1, -2, 0.25},
		"half":  {1, -2, float32(math.Ldexp(1, -24)), float32(math.Inf(1))},
		"brain": {1, -10},
	}
	for name, want := range want {
		tensor, _ := f.Tensor(name)
		got, err := f.Floats(tensor)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	q, _ := f.Tensor("q")
	if _, err := f.Floats(q); !errors.Is(err, gguf.ErrMalformed) {
		t.Errorf("Floats of Q4_0: %v", err)
	}
}

func TestRead_refusesHostile(t *testing.T) {
	cases := gguftest.Hostile()
	if len(cases) < 40 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			var before, after runtime.MemStats
			r := bytes.NewReader(c.Data)
			runtime.ReadMemStats(&before)
			_, err := gguf.Read(r, int64(len(c.Data)))
			runtime.ReadMemStats(&after)
			if !errors.Is(err, c.Err) {
				t.Errorf("error = %v, want %v", err, c.Err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
				t.Errorf("allocated %d bytes to refuse %d", used, len(c.Data))
			}
		})
	}
}

func TestRead_refusesEveryPrefix(t *testing.T) {
	data := sample().Bytes()
	for n := range len(data) {
		_, err := gguf.Read(bytes.NewReader(data), int64(n))
		if !errors.Is(err, gguf.ErrTruncated) && !errors.Is(err, gguf.ErrNotGGUF) {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
	}
}

func TestRead_fileShrinks(t *testing.T) {
	data := sample().Bytes()
	_, err := gguf.Read(bytes.NewReader(data[:200]), int64(len(data)))
	if !errors.Is(err, gguf.ErrTruncated) {
		t.Errorf("error = %v", err)
	}
}

func TestStrings_fileChanged(t *testing.T) {
	data := sample().Bytes()
	f := read(t, data)
	at := bytes.Index(data, []byte("words")) + len("words") + 4 + 4 + 8 // the length of "a"
	for _, length := range []byte{2, 9, 0xff} {
		data[at] = length
		if _, _, err := f.Strings("words"); err == nil {
			t.Errorf("length %d: no error", length)
		}
	}
}

func TestCheck_namesTheFault(t *testing.T) {
	file := sample()
	path := file.Write(t, "x.gguf")
	if err := gguf.Check(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(len(file.Bytes())-1)); err != nil {
		t.Fatal(err)
	}
	err := gguf.Check(path)
	if err == nil || !strings.HasSuffix(err.Error(), `x.gguf": tensor 3 "q" ends past the file`) {
		t.Errorf("error = %v", err)
	}
}

func TestCheck_refusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := gguf.Check(dir); !errors.Is(err, gguf.ErrNotGGUF) {
		t.Errorf("folder: %v", err)
	}
	if err := gguf.Check(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestCheck_realModels(t *testing.T) {
	home := os.Getenv("RETORT_TEST_HOME")
	if home == "" {
		t.Skip("RETORT_TEST_HOME is not set: no real models")
	}
	paths, _ := filepath.Glob(filepath.Join(home, "models", "*", "*.gguf"))
	if len(paths) == 0 {
		t.Skipf("no models in %s", home)
	}
	for _, path := range paths {
		if err := gguf.Check(path); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkRead_vocabulary(b *testing.B) {
	words := make([]string, 262_144)
	for i := range words {
		words[i] = strings.Repeat("w", i%16)
	}
	data := gguftest.File{Meta: []gguftest.Pair{{Key: "tokens", Value: words}}}.Bytes()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := gguf.Read(bytes.NewReader(data), int64(len(data))); err != nil {
			b.Fatal(err)
		}
	}
}
