package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"retort/llm"
	"retort/llm/llmtest"
)

// withMemory makes the engine believe that so much is free, less what open
// models are estimated to take.
func withMemory(t *testing.T, total uint64) *Engine {
	t.Helper()
	e := testEngine(t)
	real := e.free
	e.free = func() (uint64, bool) { // called with e.load held
		free := total
		for _, w := range e.weights {
			free -= min(free, uint64(w.of.size))
		}
		return free, true
	}
	t.Cleanup(func() { e.free = real })
	return e
}

// tinyNeed is what a tiny model is estimated to take.
func tinyNeed(t *testing.T, path string, opts Options) uint64 {
	t.Helper()
	testEngine(t)
	n, _, err := estimate(path, opts, false)
	if err != nil {
		t.Fatal(err)
	}
	return n.sum()
}

var tinyOptions = Options{ContextSize: 256, Parallel: 2, Prefixes: 1, Threads: 1, exact: true}

func TestOpen_refusesWhatDoesNotFit(t *testing.T) {
	path := tinyModel(t, "llama")
	e := withMemory(t, tinyNeed(t, path, tinyOptions)-1)
	m, err := e.Open(t.Context(), path, tinyOptions)
	if !errors.Is(err, ErrNoMemory) || !strings.Contains(err.Error(), "are free") {
		t.Errorf("error %v, want ErrNoMemory with what is free", err)
	}
	if m != nil {
		_ = m.Close()
	}
	if len(e.weights) != len(shared.models) {
		t.Errorf("%d files in memory", len(e.weights))
	}
}

func TestPool_unloadsTheIdleOneThatWasUsedLongestAgo(t *testing.T) {
	paths := []string{tinyModel(t, "llama"), tinyModel(t, "gemma3"), tinyModel(t, "llama")}
	one := tinyNeed(t, paths[1], tinyOptions)
	p := testEngine(t).NewPool(2*one + one/2)
	defer p.Close()
	var all []*Resident
	for i, path := range paths {
		opts := tinyOptions
		opts.ID = fmt.Sprint(i)
		r, err := p.Open(t.Context(), path, opts)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	check := func(want string) {
		t.Helper()
		if got := fmt.Sprint(p.Loaded()); got != want {
			t.Errorf("loaded: %s, want %s", got, want)
		}
	}
	check("[1 2]")
	first := collect(t, all[1], tinyRequest("hello"))
	check("[2 1]")
	collect(t, all[0], tinyRequest("hello"))
	check("[1 0]")
	collect(t, all[2], tinyRequest("hello"))
	check("[0 2]")
	if again := collect(t, all[1], tinyRequest("hello")); again.Text != first.Text {
		t.Errorf("%q after it was loaded again, %q before", again.Text, first.Text)
	}
}

// TestPool_neverUnloadsUnderARequest keeps one model busy, for which no other
// may take its place.
func TestPool_neverUnloadsUnderARequest(t *testing.T) {
	a, b := tinyModel(t, "llama"), tinyModel(t, "gemma3")
	p := testEngine(t).NewPool(tinyNeed(t, b, tinyOptions) * 3 / 2)
	defer p.Close()
	busy, err := p.Open(t.Context(), a, tinyOptions)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range busy.Generate(t.Context(), greedy("hello", 100)) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Open(t.Context(), b, tinyOptions); !errors.Is(err, ErrNoMemory) {
			t.Fatalf("error %v, want ErrNoMemory", err)
		}
		break
	}
	other, err := p.Open(t.Context(), b, tinyOptions)
	if err != nil {
		t.Fatalf("after the request: %v", err)
	}
	if err := busy.Close(); err != nil {
		t.Error(err)
	}
	if _, err := llm.Collect(t.Context(), busy, greedy("hello", 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("a request after Close: %v, want ErrClosed", err)
	}
	collect(t, other, greedy("hello", 1))
}

// TestPool_manyAtOnce asks more models than there is room for, from many
// goroutines: every request is answered, or refused for want of memory.
func TestPool_manyAtOnce(t *testing.T) {
	before := goleak.IgnoreCurrent()
	paths := []string{tinyModel(t, "llama"), tinyModel(t, "gemma3"), tinyModel(t, "llama")}
	p := testEngine(t).NewPool(tinyNeed(t, paths[1], tinyOptions) * 5 / 2)
	var all []*Resident
	want := make(map[*Resident]string)
	for i, path := range paths {
		opts := tinyOptions
		opts.ID = fmt.Sprint(i)
		r, err := p.Open(t.Context(), path, opts)
		if err != nil {
			t.Fatal(err)
		}
		all, want[r] = append(all, r), collect(t, r, tinyRequest("hello")).Text
	}
	answered := make([]int, 6)
	var wg sync.WaitGroup
	for g := range answered {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 5))
			for range 12 {
				m := all[r.IntN(len(all))]
				resp, err := llm.Collect(t.Context(), m, tinyRequest("hello"))
				switch {
				case err == nil && resp.Text == want[m]:
					answered[g]++
				case !errors.Is(err, ErrNoMemory):
					t.Errorf("%s: %q, %v; want %q", m.ID(), resp.Text, err, want[m])
				}
			}
		})
	}
	wg.Wait()
	for g, n := range answered {
		if n == 0 {
			t.Errorf("goroutine %d was never answered", g)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
}

// TestPool_loadedWhileOneIsOpened asks which models are loaded all the time.
func TestPool_loadedWhileOneIsOpened(t *testing.T) {
	path := tinyModel(t, "llama")
	p := testEngine(t).NewPool(0)
	defer p.Close()
	var asking sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	asking.Go(func() {
		for ctx.Err() == nil {
			if names := p.Loaded(); slices.Contains(names, "") {
				t.Errorf("loaded: %q", names)
				return
			}
		}
	})
	for range 3 {
		if _, err := p.Open(t.Context(), path, tinyOptions); err != nil {
			t.Error(err)
		}
	}
	cancel()
	asking.Wait()
	if got := p.Loaded(); len(got) != 3 {
		t.Errorf("loaded: %q, want three", got)
	}
}

// TestPool_waitsForWhatIsBeingUnloaded has two requests find no room while the one
// idle model holds it: what one of them unloads makes room for the other, too.
func TestPool_waitsForWhatIsBeingUnloaded(t *testing.T) {
	big, b, c := tinyModel(t, "llama"), tinyModel(t, "gemma3"), tinyModel(t, "llama")
	e := testEngine(t)
	p := e.NewPool(0)
	defer p.Close()
	idle, err := p.Open(t.Context(), big, tinyOptions)
	if err != nil {
		t.Fatal(err)
	}
	real := e.free
	e.free = func() (uint64, bool) { // called with e.load held
		if e.weights[idle.of] != nil {
			return 0, true
		}
		return real()
	}
	t.Cleanup(func() { e.free = real })
	held := idle.model
	held.life.RLock() // so that it takes its time
	errs := make(chan error, 2)
	open := func(path string) {
		_, err := p.Open(t.Context(), path, tinyOptions)
		errs <- err
	}
	go open(b)
	for len(p.Loaded()) > 0 {
		runtime.Gosched()
	}
	go open(c)
	select {
	case err := <-errs:
		t.Errorf("before the idle one was gone: error %v", err)
		errs <- err
	case <-time.After(100 * time.Millisecond): // whenever this ends, both are to have room
	}
	held.life.RUnlock()
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestResident_cancelledWhileAnotherLoads waits for a model that another request
// is bringing back into memory.
func TestResident_cancelledWhileAnotherLoads(t *testing.T) {
	p := testEngine(t).NewPool(0)
	defer p.Close()
	r, err := p.Open(t.Context(), tinyModel(t, "llama"), tinyOptions)
	if err != nil {
		t.Fatal(err)
	}
	if !p.unloadOne(p.unloaded()) {
		t.Fatal("the model is not idle")
	}
	r.loading <- struct{}{} // as the other one does
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := llm.Collect(ctx, r, tinyRequest("hello")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	<-r.loading
	collect(t, r, tinyRequest("hello"))
	if !p.unloadOne(p.unloaded()) {
		t.Error("the model is not idle after its requests")
	}
}

func TestResident_passesTheExam(t *testing.T) {
	p := testEngine(t).NewPool(0)
	t.Cleanup(func() { _ = p.Close() })
	r, err := p.Open(t.Context(), testFile(t, smol), Options{})
	if err != nil {
		t.Fatal(err)
	}
	llmtest.TestModel(t, func(*testing.T) llm.Model { return r }, llmtest.Options{})
	if scores, err := r.Score(t.Context(), greedy("hi", 1), []string{"a", "b"}); err != nil || len(scores) != 2 {
		t.Errorf("Score = %v, %v", scores, err)
	}
	if toks, err := r.Tokenize([]llm.Message{llm.User("hi")}, "x"); err != nil || len(toks.Completion) == 0 {
		t.Errorf("Tokenize = %v, %v", toks, err)
	}
	if _, err := p.Open(context.Background(), "none.gguf", Options{}); err == nil {
		t.Error("a file that is not there was opened")
	}
}
