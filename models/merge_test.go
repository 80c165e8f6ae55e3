package models

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/models/gguf"
	"retort/models/gguf/gguftest"
)

// fakeQuantizer copies, which is all that there is to do with 32-bit models.
type fakeQuantizer struct {
	calls *[]string         // the types asked for
	err   map[string]error  // by type
	give  map[string][]byte // by type, in place of a copy
}

func (q fakeQuantizer) Quantize(_ context.Context, in, out, typ string) error {
	if q.calls != nil {
		*q.calls = append(*q.calls, typ)
	}
	data, err := os.ReadFile(in)
	if given := q.give[typ]; given != nil {
		data = given
	}
	return errors.Join(err, os.WriteFile(out, data, 0o600), q.err[typ])
}

// half encodes values that a half holds exactly: small whole numbers.
func half(values []float32) (data []byte) {
	for _, v := range values {
		var bits uint16
		if v != 0 {
			b := math.Float32bits(v)
			bits = uint16(b>>31<<15 | (b>>23&0xff-127+15)<<10 | b>>13&0x3ff)
		}
		data = binary.LittleEndian.AppendUint16(data, bits)
	}
	return data
}

// fullAdapter is an adapter for three tensors, one of them of 16 bits.
func fullAdapter() (file gguftest.File, a, b map[string][]float32) {
	file = adapterGGUF(20)
	whole := func(n int) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(i%7 - 3)
		}
		return out
	}
	a = map[string][]float32{"blk.0.attn_q.weight": random(20, width*rank), "output.weight": whole(width * rank), "token_embd.weight": random(22, rank*vocab)}
	b = map[string][]float32{"blk.0.attn_q.weight": random(21, rank*heads), "output.weight": whole(rank * vocab), "token_embd.weight": random(23, rank*width)}
	file.Tensors = append(file.Tensors,
		gguftest.Tensor{Name: "output.weight.lora_a", Dims: []uint64{width, rank}, Type: uint32(gguf.F16), Data: half(a["output.weight"])},
		gguftest.Tensor{Name: "output.weight.lora_b", Dims: []uint64{rank, vocab}, Type: uint32(gguf.F16), Data: half(b["output.weight"])},
		gguftest.F32("token_embd.weight.lora_a", []uint64{rank, vocab}, a["token_embd.weight"]),
		gguftest.F32("token_embd.weight.lora_b", []uint64{rank, width}, b["token_embd.weight"]),
	)
	return file, a, b
}

// wantMerged is the sum by the book: W[o][i] + factor * Σ B[o][k]·A[k][i], and for
// the embedding W[token][i] + factor * Σ A[token][k]·B[i][k].
func wantMerged(name string, w, a, b []float32, factor float64) []float64 {
	out := make([]float64, len(w))
	for n := range w {
		o, i := n/width, n%width
		sum := 0.0
		for k := range rank {
			if name == "token_embd.weight" {
				sum += float64(a[o*rank+k]) * float64(b[i*rank+k])
			} else {
				sum += float64(b[o*rank+k]) * float64(a[k*width+i])
			}
		}
		out[n] = float64(w[n]) + factor*sum
	}
	return out
}

func TestMerge_weights(t *testing.T) {
	r := open(t, t.TempDir())
	addBase(t, r, "base", 1)
	file, a, b := fullAdapter()
	adapter, err := r.AddAdapter(context.Background(), AdapterSpec{ID: "tuned", Parent: "base", File: file.Write(t, "a.gguf"), Run: "r1", TaskType: "intent"})
	if err != nil {
		t.Fatal(err)
	}
	adapter.Adapter.Scale = 0.5
	if err := r.writeJSON(r.Dir("tuned")+"/"+manifestFile, adapter); err != nil {
		t.Fatal(err)
	}
	var last, total int64
	m, err := r.Merge(context.Background(), "tuned", "merged", fakeQuantizer{}, MergeOptions{Progress: func(done, n int64) {
		if done < last || done > n {
			t.Errorf("progress went from %d to %d of %d", last, done, n)
		}
		last, total = done, n
	}})
	if err != nil {
		t.Fatal(err)
	}
	if last != total || total == 0 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	f, err := gguf.Open(r.Path(m))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const factor = 0.5 * 4 / rank
	for i, tensor := range f.Tensors {
		before := baseGGUF(1).Tensors[i]
		var w []float32
		for n := 0; n < len(before.Data); n += 4 {
			w = append(w, math.Float32frombits(binary.LittleEndian.Uint32(before.Data[n:])))
		}
		got, err := f.Floats(tensor)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float64, len(w))
		for n := range w {
			want[n] = float64(w[n])
		}
		if _, ok := a[tensor.Name]; ok {
			want = wantMerged(tensor.Name, w, a[tensor.Name], b[tensor.Name], factor)
		}
		for n := range want {
			if d := math.Abs(want[n] - float64(got[n])); d > 1e-5 {
				t.Fatalf("%s[%d] = %v, want %v", tensor.Name, n, got[n], want[n])
			}
		}
	}
	want := Manifest{
		ID: "merged", Kind: KindMerged, Architecture: "llama", File: modelFile, Digest: m.Digest, Size: m.Size, ContextLength: 512,
		Quantization: "F32", License: "mit", Source: "tuned merged into base", CreatedAt: m.CreatedAt,
		Parent: "tuned", ParentDigest: adapter.Digest, Run: "r1", TaskType: "intent",
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	if got := tree(t, r.Dir("merged")); len(got) != 3 {
		t.Errorf("folder holds %q", got)
	}
}

// A tensor that several workers share comes out the same as one alone.
func TestMerge_blocks(t *testing.T) {
	const rows, cols = 2050, 1024 // three blocks
	target := gguf.Tensor{Name: "w", Dims: []uint64{cols, rows}, Type: gguf.F32}
	d := delta{up: random(1, rows*rank), down: random(2, rank*cols), rank: rank}
	path := gguftest.File{Tensors: []gguftest.Tensor{gguftest.F32("w", target.Dims, random(3, rows*cols))}}.Write(t, "w.gguf")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	header, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer header.Close()
	want, err := header.Floats(header.Tensors[0])
	if err != nil {
		t.Fatal(err)
	}
	for n := range want {
		for k := range rank {
			want[n] += d.up[n/cols*rank+k] * d.down[k*cols+n%cols]
		}
	}
	if err := d.addTo(context.Background(), f, header.Tensors[0]); err != nil {
		t.Fatal(err)
	}
	got, err := header.Floats(header.Tensors[0])
	if err != nil {
		t.Fatal(err)
	}
	for n := range want {
		if math.Abs(float64(want[n]-got[n])) > 1e-5 {
			t.Fatalf("[%d] = %v, want %v", n, got[n], want[n])
		}
	}
}

func TestMerge_quantizes(t *testing.T) {
	r := open(t, t.TempDir())
	base := baseGGUF(1)
	base.Meta[2].Value = uint32(15)
	if _, err := r.Import(context.Background(), base.Write(t, "b.gguf"), ImportOptions{ID: "base"}); err != nil {
		t.Fatal(err)
	}
	addAdapter(t, r, "tuned", "base", 2)
	for id, c := range map[string]struct {
		typ  string
		want []string
	}{
		"like-base": {"", []string{"F32", "Q4_K_M"}},
		"other":     {"Q8_0", []string{"F32", "Q8_0"}},
		"unpacked":  {"F32", []string{"F32"}},
	} {
		var calls []string
		_, err := r.Merge(context.Background(), "tuned", id, fakeQuantizer{calls: &calls}, MergeOptions{Quantization: c.typ})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, calls); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
}

func TestMerge_refuses(t *testing.T) {
	boom := errors.New("boom")
	wrong := baseGGUF(1)
	wrong.Tensors[2].Type, wrong.Tensors[2].Data = uint32(gguf.F16), make([]byte, 2*width*heads)
	invalid := adapterGGUF(5)
	invalid.Tensors[0] = gguftest.F32("blk.0.attn_q.weight.lora_a", []uint64{width, rank}, make([]float32, width*rank))
	binary.LittleEndian.PutUint32(invalid.Tensors[0].Data, math.Float32bits(float32(math.NaN())))
	partial := adapterGGUF(6)
	partial.Meta = append(partial.Meta, gguftest.Pair{Key: "adapter.alora.invocation_tokens", Value: []uint32{1}})
	for name, c := range map[string]struct {
		id, newID string
		adapter   gguftest.File
		q         fakeQuantizer
		typ, want string
	}{
		"missing":              {id: "none", want: "no such model"},
		"not an adapter":       {id: "base", want: "is not an adapter"},
		"ID taken":             {newID: "base", want: "another model has that name"},
		"unpacking fails":      {q: fakeQuantizer{err: map[string]error{"F32": boom}}, want: "quantize to F32: boom"},
		"quantizing fails":     {typ: "Q8_0", q: fakeQuantizer{err: map[string]error{"Q8_0": boom}}, want: "quantize to Q8_0: boom"},
		"unpacked to 16 bits":  {q: fakeQuantizer{give: map[string][]byte{"F32": wrong.Bytes()}}, want: "is not F32"},
		"unpacked to rubbish":  {q: fakeQuantizer{give: map[string][]byte{"F32": []byte("x")}}, want: "not a GGUF file"},
		"quantized to rubbish": {typ: "Q8_0", q: fakeQuantizer{give: map[string][]byte{"Q8_0": []byte("GGUF")}}, want: "version"},
		"not a number":         {adapter: invalid, want: "holds NaN"},
		"partial adapter":      {adapter: partial, want: "aLoRA"},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, t.TempDir())
			addBase(t, r, "base", 1)
			if c.adapter.Meta == nil {
				c.adapter = adapterGGUF(2)
			}
			if _, err := r.AddAdapter(context.Background(), AdapterSpec{ID: "tuned", Parent: "base", File: c.adapter.Write(t, "a.gguf")}); err != nil {
				t.Fatal(err)
			}
			if c.id == "" {
				c.id = "tuned"
			}
			if c.newID == "" {
				c.newID = "new"
			}
			_, err := r.Merge(context.Background(), c.id, c.newID, c.q, MergeOptions{Quantization: c.typ})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q", err, c.want)
			}
			if diff := cmp.Diff([]string{"base", "tuned"}, ids(t, r)); diff != "" || leftovers(t, r.dir) != nil {
				t.Errorf("left %q %s", leftovers(t, r.dir), diff)
			}
		})
	}
}

func TestMerge_cancelled(t *testing.T) {
	r := open(t, t.TempDir())
	addBase(t, r, "base", 1)
	addAdapter(t, r, "tuned", "base", 2)
	for at := range 3 {
		ctx, cancel := context.WithCancel(context.Background())
		n := 0
		_, err := r.Merge(ctx, "tuned", "new", fakeQuantizer{}, MergeOptions{Quantization: "Q8_0", Progress: func(int64, int64) {
			if n == at {
				cancel()
			}
			n++
		}})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("at progress %d: %v", at, err)
		}
		if got := leftovers(t, r.dir); got != nil {
			t.Errorf("left: %q", got)
		}
	}
}
