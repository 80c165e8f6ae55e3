package llamacpp

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"retort/llm"
	"retort/models/gguf"
	"retort/models/gguf/gguftest"
)

// armsVariable makes the test binary open arms of a model and say what memory
// it takes: a process of its own for each arrangement.
const armsVariable = "RETORT_TEST_ARMS"

// arms is what such a process opens: one Model for each list of adapters.
type arms struct {
	Engine, Model string
	Sets          [][]Adapter
	Options       Options
}

// taken is what such a process takes, in bytes.
type taken struct {
	RSS, PSS, Empty uint64 // Empty is the RSS before the first model
	Estimate        uint64
}

func init() {
	if spec := os.Getenv(armsVariable); spec != "" {
		if err := runArms(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

func runArms(spec string) error {
	var a arms
	if err := json.Unmarshal([]byte(spec), &a); err != nil {
		return err
	}
	e, err := Load(a.Engine)
	if err != nil {
		return err
	}
	var out taken
	out.Empty, _ = resident()
	var open []*Model
	for i, set := range a.Sets {
		opts := a.Options
		opts.Adapters = set
		m, err := e.Open(context.Background(), a.Model, opts)
		if err != nil {
			return err
		}
		open = append(open, m)
		out.Estimate += m.need.beside(i > 0)
	}
	for _, m := range open { // all of what is made lazily
		if _, err := llm.CollectN(context.Background(), m, greedy(strings.Repeat("All of the memory. ", 60), 8), 4); err != nil {
			return err
		}
	}
	out.RSS, out.PSS = resident()
	return json.NewEncoder(os.Stdout).Encode(out)
}

// resident returns the memory that this process has, in bytes: in all, and with
// what it shares with others counted in part.
func resident() (rss, pss uint64) {
	runtime.GC()
	debug.FreeOSMemory()
	data, _ := os.ReadFile("/proc/self/smaps_rollup")
	for line := range strings.Lines(string(data)) {
		_, _ = fmt.Sscanf(line, "Rss: %d", &rss) // it is another line
		_, _ = fmt.Sscanf(line, "Pss: %d", &pss)
	}
	return rss * 1024, pss * 1024
}

func measure(t *testing.T, a arms) taken {
	t.Helper()
	spec, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), armsVariable+"="+string(spec))
	cmd.Stderr = os.Stderr
	data, err := cmd.Output()
	var out taken
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return out
}

// bigLoRA makes an adapter of rank 16 for one matrix of every layer of a model.
func bigLoRA(t *testing.T, model string) string {
	t.Helper()
	f, err := gguf.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	arch, _ := f.String("general.architecture")
	file := gguftest.File{Meta: []gguftest.Pair{
		{Key: "general.type", Value: "adapter"}, {Key: "general.architecture", Value: arch},
		{Key: "adapter.type", Value: "lora"}, {Key: "adapter.lora.alpha", Value: float32(16)},
	}}
	r := rand.New(rand.NewPCG(1, 1))
	for i := 0; ; i++ {
		name := fmt.Sprintf("blk.%d.ffn_up.weight", i)
		w, ok := f.Tensor(name)
		if !ok {
			return file.Write(t, "big-adapter.gguf")
		}
		matrix := func(part string, in, out uint64) {
			v := make([]float32, in*out)
			for k := range v {
				v[k] = float32(r.NormFloat64()) / 64
			}
			file.Tensors = append(file.Tensors, gguftest.F32(name+part, []uint64{in, out}, v))
		}
		matrix(".lora_a", w.Dims[0], 16)
		matrix(".lora_b", 16, w.Dims[1])
	}
}

// TestModel_secondArmIsCheap compares one process that holds a base and an
// adapter with two processes that hold one each: the best of a few, for what the
// same process takes differs by 25 MB from run to run.
func TestModel_secondArmIsCheap(t *testing.T) {
	if testing.Short() {
		t.Skip("loads the model three times")
	}
	file := testFile(t, gemma)
	a := arms{Engine: testEngine(t).dir, Model: file, Options: Options{ContextSize: 2048, Parallel: 4, Prefixes: 2, Threads: 1}}
	base, candidate := []Adapter(nil), []Adapter{{bigLoRA(t, file), 1}}
	run := func(sets ...[]Adapter) taken { a.Sets = sets; return measure(t, a) }
	best := 1.0
	for try := 0; try < 3 && best > 0.6; try++ {
		one, other, both := run(base), run(candidate), run(base, candidate)
		ratio := float64(both.RSS) / float64(one.RSS+other.RSS)
		t.Logf("base %d MB, candidate %d MB, both in one process %d MB: %.2f of two (%.2f by PSS)",
			one.RSS>>20, other.RSS>>20, both.RSS>>20, ratio, float64(both.PSS)/float64(one.PSS+other.PSS))
		best = min(best, ratio)
	}
	if best > 0.6 {
		t.Errorf("one process takes %.2f of what two take, want 0.6", best)
	}
}

// TestEstimate_isNotBelowWhatIsTaken compares estimates with what processes
// that did nothing else took.
func TestEstimate_isNotBelowWhatIsTaken(t *testing.T) {
	for _, id := range []string{smol, gemma} {
		file := testFile(t, id)
		lora := []Adapter{{bigLoRA(t, file), 1}}
		for name, a := range map[string]arms{
			"default": {Sets: [][]Adapter{nil}},
			"small":   {Sets: [][]Adapter{nil}, Options: Options{Parallel: 4, Prefixes: 2}},
			"arms":    {Sets: [][]Adapter{nil, lora}, Options: Options{Parallel: 4, Prefixes: 2}},
		} {
			a.Engine, a.Model, a.Options.Threads = testEngine(t).dir, file, 1
			got := measure(t, a)
			took := got.RSS - got.Empty
			ratio := float64(got.Estimate) / float64(took)
			t.Logf("%s, %s: %d MB estimated, %d MB taken: %.2f", id, name, got.Estimate>>20, took>>20, ratio)
			if ratio < 0.8 || ratio > 2 {
				t.Errorf("%s, %s: the estimate is %.2f of what is taken, want 0.8 to 2", id, name, ratio)
			}
		}
	}
}
