package llamacpp

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/hybridgroup/yzma/pkg/llama"

	"retort/llm"
	"retort/models/gguf"
	"retort/models/gguf/gguftest"
)

func scoreOf(t *testing.T, m *Model, text, answer string) float64 {
	t.Helper()
	s, err := m.Score(t.Context(), llm.Request{Messages: []llm.Message{llm.User(text)}}, []string{answer})
	if err != nil {
		t.Fatal(err)
	}
	return s[0].Logprob
}

// sameFile is a path of the test's own to the file at path, so that its weights
// are not those of another test.
func sameFile(t *testing.T, path string) string {
	t.Helper()
	own := filepath.Join(t.TempDir(), "own.gguf")
	if os.Link(path, own) == nil {
		return own
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(own, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// bothWays calls f with the model at path whose weights stay as they are, and
// then with the one whose weights are widened.
func bothWays(t *testing.T, path string, opts Options, f func(m *Model)) {
	t.Helper()
	for _, opts.narrow = range []bool{true, false} {
		m := openTiny(t, path, opts)
		if m.settings.widened == opts.narrow {
			t.Fatalf("narrow %t, and widened %t", opts.narrow, m.settings.widened)
		}
		f(m)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWidened_realModelAnswersTheSame asks a real model for likely answers, and
// what it thinks of them. With AVX2 it is the same to the last bit.
func TestWidened_realModelAnswersTheSame(t *testing.T) {
	var answers []string
	var scores []float64
	opts := Options{Template: "plain", ContextSize: 512, Parallel: 2, Prefixes: NoPrefixes}
	bothWays(t, sameFile(t, testFile(t, gemma)), opts, func(m *Model) {
		for _, text := range []string{"The capital of France is", "Once upon a time", strings.Repeat("one two three ", 30)} {
			answer := collect(t, m, greedy(text, 24)).Text
			answers, scores = append(answers, answer), append(scores, scoreOf(t, m, text, answer))
		}
	})
	const n = 3
	for i := range n {
		if answers[n+i] != answers[i] || math.Abs(scores[n+i]-scores[i]) > 0.001 {
			t.Errorf("%q of %g nats, want %q of %g", answers[n+i], scores[n+i], answers[i], scores[i])
		}
	}
}

// TestWidened_adapter applies an adapter to a base that is widened.
func TestWidened_adapter(t *testing.T) {
	for _, arch := range []string{"llama", "gemma3"} {
		path := tinyQ5(t, arch)
		lora, _ := tinyLoRA(t, arch, 8)
		var with, plain []float64
		bothWays(t, path, Options{}, func(base *Model) {
			arm := openTiny(t, path, Options{Adapters: []Adapter{{Path: lora, Scale: 1}}})
			defer arm.Close()
			if arm.handle != base.handle || arm.need.weights != base.need.weights {
				t.Errorf("%s: the arm has weights of its own (%+v and %+v)", arch, arm.need, base.need)
			}
			plain, with = append(plain, scoreOf(t, base, "hello", "world")), append(with, scoreOf(t, arm, "hello", "world"))
		})
		if math.Abs(with[0]-with[1]) > 0.001 || math.Abs(with[1]-plain[1]) < 0.1 {
			t.Errorf("%s: %g nats, want %g; without the adapter %g", arch, with[1], with[0], plain[1])
		}
	}
}

// TestWidened_settings tells the user.
func TestWidened_settings(t *testing.T) {
	bothWays(t, tinyQ5(t, "llama"), tinyOptions, func(m *Model) {
		for _, s := range m.Settings() {
			if s.Name == "weights" && strings.Contains(s.Value, "Q8_0") != m.settings.widened {
				t.Errorf("widened %t, and the weights are said to be %q", m.settings.widened, s.Value)
			}
		}
	})
}

// TestWidened_onlyWhereMemoryAllows opens a model with just enough memory to
// widen it, and with less.
func TestWidened_onlyWhereMemoryAllows(t *testing.T) {
	path := tinyQ5(t, "llama")
	takes, _, err := estimate(path, tinyOptions, false)
	if err != nil {
		t.Fatal(err)
	}
	of, err := identify(path)
	if err != nil {
		t.Fatal(err)
	}
	enough := takes.sum() + 2*takes.growth + uint64(of.size)
	for free, want := range map[uint64]bool{enough: true, enough - 1: false, takes.sum(): false} {
		e := testEngine(t)
		real := e.free
		e.free = func() (uint64, bool) { return free, true }
		m, err := e.Open(t.Context(), path, tinyOptions)
		e.free = real
		if err != nil {
			t.Fatalf("%d of %d bytes free: %v", free, enough, err)
		}
		if m.settings.widened != want {
			t.Errorf("%d of %d bytes free: widened %t", free, enough, m.settings.widened)
		}
		if more := m.need.sum() - takes.sum(); more != map[bool]uint64{true: takes.growth}[want] {
			t.Errorf("it is said to take %d more", more)
		}
		collect(t, m, tinyRequest("hello"))
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestWidened_withinThePool gives a pool a budget that wider weights fit in, and
// one that they do not.
func TestWidened_withinThePool(t *testing.T) {
	path := tinyQ5(t, "llama")
	takes, _, err := estimate(path, tinyOptions, false)
	if err != nil {
		t.Fatal(err)
	}
	for budget, want := range map[uint64]need{takes.widened().sum(): takes.widened(), takes.widened().sum() - 1: takes, 0: takes.widened()} {
		p := testEngine(t).NewPool(budget)
		for range 2 { // as it is first loaded, and again
			r, err := p.Open(t.Context(), path, tinyOptions)
			if err != nil {
				t.Fatalf("budget of %d: %v", budget, err)
			}
			if sum, _ := p.taken(r.of); sum != want.sum() {
				t.Errorf("budget of %d: %d are taken, want %d", budget, sum, want.sum())
			}
			if r.model.need != want {
				t.Errorf("budget of %d: the model takes %+v, want %+v", budget, r.model.need, want)
			}
			p.unloadOne(p.unloaded())
			collect(t, r, tinyRequest("hello"))
			if sum, _ := p.taken(r.of); sum != want.sum() {
				t.Errorf("budget of %d: %d are taken after it was loaded again, want %d", budget, sum, want.sum())
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestWidened_onlyQ5 opens models that have nothing to widen.
func TestWidened_onlyQ5(t *testing.T) {
	for _, path := range []string{testFile(t, smol), tinyModel(t, "llama")} {
		if m := openTiny(t, path, Options{ContextSize: 256, Parallel: 2}); m.settings.widened || m.need.growth != 0 {
			t.Errorf("%s is widened", path)
		}
	}
}

// memoryFiles lists the files of memoryFile that this process has open or
// mapped.
func memoryFiles(t *testing.T) (all []string) {
	t.Helper()
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		if name, err := os.Readlink(fd); err == nil && strings.Contains(name, "memfd:retort") {
			all = append(all, name)
		}
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "memfd:retort") {
			all = append(all, line)
		}
	}
	return all
}

func TestWidened_leavesNothing(t *testing.T) {
	out, err := memoryFile(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(memoryFiles(t)); n != 1 {
		t.Errorf("%d files in memory, want the one that was just made", n)
	}
	_ = out.Close()
	path := tinyQ5(t, "llama")
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would close what was left open
	if m := openTiny(t, path, Options{ContextSize: 256, Parallel: 2}); !m.settings.widened {
		t.Error("the model is not widened")
	}
	if all := memoryFiles(t); len(all) > 0 {
		t.Errorf("still there: %q", all)
	}
	if underway.Load() != nil {
		t.Error("a file is still being read")
	}
}

// TestWidened_fileShrinks cuts a file short after its header was read.
func TestWidened_fileShrinks(t *testing.T) {
	e, path := testEngine(t), tinyQ5(t, "llama")
	p := llama.ModelDefaultParams()
	p.LoadMode = llama.LoadModeNone
	for _, left := range []int64{openGGUF(t, path).Size() - 1, 1000} {
		f := openGGUF(t, path)
		if err := os.Truncate(path, left); err != nil {
			t.Fatal(err)
		}
		if handle, err := loadCopy(t.Context(), f, p); err == nil {
			_ = llama.ModelFree(handle)
			t.Errorf("%d bytes left: no error", left)
		}
		if _, _, err := load(t.Context(), path, settings{widened: true}); err == nil {
			t.Errorf("%d bytes left: it was loaded", left)
		}
		if m, err := e.Open(t.Context(), path, tinyOptions); err == nil {
			_ = m.Close()
			t.Errorf("%d bytes left: it was opened", left)
		}
		path = tinyQ5(t, "llama")
	}
	if all := memoryFiles(t); len(all) > 0 {
		t.Errorf("still there: %q", all)
	}
}

// TestLoad_asItIsWhereWideningFails loads a file with a text that the library
// reads and package gguf refuses.
func TestLoad_asItIsWhereWideningFails(t *testing.T) {
	testEngine(t)
	long := gguftest.Pair{Key: "long", Value: strings.Repeat("x", 17<<20)}
	path := gguftest.File{Meta: append(tinyMeta("llama"), long), Tensors: tinyTensors("llama")}.Write(t, "long.gguf")
	if gguf.Check(path) == nil {
		t.Fatal("package gguf reads it")
	}
	handle, widened, err := load(t.Context(), path, settings{widened: true})
	if err != nil || widened {
		t.Fatalf("widened %t, error %v", widened, err)
	}
	if err := llama.ModelFree(handle); err != nil {
		t.Error(err)
	}
}
