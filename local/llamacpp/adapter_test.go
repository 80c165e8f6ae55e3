package llamacpp

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"retort/llm"
	"retort/models/gguf/gguftest"
)

// tinyLoRA makes an adapter of rank 4 for one matrix of a tiny model, and the
// same model with the adapter written into that matrix.
func tinyLoRA(t *testing.T, arch string, alpha float32) (adapter, merged string) {
	t.Helper()
	const name, rank, in, out = "blk.2.ffn_up.weight", 4, tinyWidth, tinyFFN
	r := rand.New(rand.NewPCG(3, 3))
	a, b := make([]float32, rank*in), make([]float32, out*rank)
	for _, v := range [][]float32{a, b} {
		for i := range v {
			v[i] = float32(r.NormFloat64() / 4)
		}
	}
	adapter = gguftest.File{
		Meta: []gguftest.Pair{
			{Key: "general.type", Value: "adapter"},
			{Key: "general.architecture", Value: arch},
			{Key: "adapter.type", Value: "lora"},
			{Key: "adapter.lora.alpha", Value: alpha},
		},
		Tensors: []gguftest.Tensor{
			gguftest.F32(name+".lora_a", []uint64{in, rank}, a),
			gguftest.F32(name+".lora_b", []uint64{rank, out}, b),
		},
	}.Write(t, "adapter.gguf")
	tensors := tinyTensors(arch)
	for i, w := range tensors {
		if w.Name != name {
			continue
		}
		sum := floats(w)
		for o := range out {
			for k := range in {
				for j := range rank {
					sum[o*in+k] += alpha / rank * b[o*rank+j] * a[j*in+k]
				}
			}
		}
		tensors[i] = gguftest.F32(name, w.Dims, sum)
	}
	return adapter, gguftest.File{Meta: tinyMeta(arch), Tensors: tensors}.Write(t, "merged.gguf")
}

// floats reads the data of a tensor back.
func floats(w gguftest.Tensor) []float32 {
	v := make([]float32, len(w.Data)/4)
	for i := range v {
		d := w.Data[4*i:]
		v[i] = math.Float32frombits(uint32(d[0]) | uint32(d[1])<<8 | uint32(d[2])<<16 | uint32(d[3])<<24)
	}
	return v
}

func TestModel_adapterIsWhatMergingIs(t *testing.T) {
	for _, arch := range []string{"llama", "gemma3"} {
		base := tinyModel(t, arch)
		adapter, merged := tinyLoRA(t, arch, 8)
		score := func(path string, adapters ...Adapter) float64 {
			m := openTiny(t, path, Options{Adapters: adapters})
			s, err := m.Score(t.Context(), llm.Request{Messages: []llm.Message{llm.User("hello")}}, []string{"world and more"})
			if err != nil {
				t.Fatal(err)
			}
			return s[0].Logprob
		}
		plain, with := score(base), score(base, Adapter{Path: adapter, Scale: 1})
		if d := math.Abs(with - score(merged)); d > 0.001 {
			t.Errorf("%s: base and adapter differ from the merged model by %g nats", arch, d)
		}
		if math.Abs(with-plain) < 0.1 {
			t.Errorf("%s: the adapter changed %g to %g only", arch, plain, with)
		}
		if off := score(base, Adapter{Path: adapter, Scale: 0}); math.Abs(off-plain) > 0.001 {
			t.Errorf("%s: at scale 0 the adapter changed %g to %g", arch, plain, off)
		}
		half := score(base, Adapter{Path: adapter, Scale: 0.5}, Adapter{Path: adapter, Scale: 0.5})
		if math.Abs(half-with) > 0.001 {
			t.Errorf("%s: two adapters at half scale give %g, one at full scale %g", arch, half, with)
		}
	}
}

func TestOpen_refusesAnAdapterOfAnotherModel(t *testing.T) {
	adapter, _ := tinyLoRA(t, "gemma3", 8)
	m, err := testEngine(t).Open(t.Context(), tinyModel(t, "llama"), Options{Adapters: []Adapter{{Path: adapter, Scale: 1}}})
	if err == nil {
		_ = m.Close()
		t.Fatal("an adapter for gemma3 was applied to llama")
	}
	if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), adapter) {
		t.Errorf("error %q, want one line with the adapter's path", err)
	}
}
