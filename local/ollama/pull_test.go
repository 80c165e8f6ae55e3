package ollama_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"retort/llm"
	"retort/local/ollama"
	"retort/local/ollama/ollamatest"
)

// registryBench is a real server that trusts a registry on this machine.
type registryBench struct {
	*ollamatest.Registry
	client *ollama.Client
}

func newRegistryBench(t *testing.T) registryBench {
	t.Helper()
	registry := ollamatest.NewRegistry(t)
	return registryBench{registry, start(t, ollama.Options{AllowPull: true}, registry.Setting())}
}

// has reports whether the server lists the model.
func (b registryBench) has(t *testing.T, name string) bool {
	t.Helper()
	return slices.ContainsFunc(list(t, b.client), func(m ollama.ModelInfo) bool { return m.Name == name })
}

// gone takes a model from the server, so that it has to fetch it again.
func (b registryBench) gone(t *testing.T, name string) {
	t.Helper()
	if err := b.client.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// ranges returns which bytes of a blob the server asked for.
func (b registryBench) ranges(digest string) (out []string) {
	for _, request := range b.Asked() {
		if bytes, ok := strings.CutPrefix(request, "GET "+digest+" bytes="); ok {
			out = append(out, bytes)
		}
	}
	return out
}

// after calls then once it has written n bytes or little more.
type after struct {
	http.ResponseWriter
	n    int64
	then func()
}

func (w *after) Write(p []byte) (int, error) {
	if w.n -= int64(len(p)); w.n > 0 || w.then == nil {
		return w.ResponseWriter.Write(p)
	}
	n, err := w.ResponseWriter.Write(p)
	if err == nil {
		err = http.NewResponseController(w.ResponseWriter).Flush()
	}
	w.then()
	w.then = nil
	return n, err
}

// spoilt writes other bytes than it is given.
type spoilt struct{ http.ResponseWriter }

func (w spoilt) Write(p []byte) (int, error) {
	return w.ResponseWriter.Write(bytes.ToUpper(p))
}

// TestOllama_pull has a real server fetch models from a registry.
func TestOllama_pull(t *testing.T) {
	smol := weights(t, "smollm2-135m-instruct")
	b := newRegistryBench(t)
	t.Run("whole", func(t *testing.T) { b.pullsWhole(t, smol) })
	t.Run("cancelled", func(t *testing.T) { b.pullsOnAfterCancel(t, smol) })
	t.Run("cut", b.pullsOverACut)
	t.Run("fails", b.failsToPull)
}

// pullsWhole stops the registry half-way until that was reported, since the server
// reports by the clock.
func (b registryBench) pullsWhole(t *testing.T, smol string) {
	texts := map[string]string{"template": chatML, "params": `{"stop":["<|im_end|>"]}`}
	name, digest, size := b.Name("tiny"), b.Offer(t, "tiny", smol, texts), fileSize(t, smol)
	goOn := make(chan struct{})
	b.Disturb(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		return &after{w, size / 2, func() {
			select {
			case <-goOn:
			case <-r.Context().Done():
			}
		}}
	})
	defer b.Disturb(nil)
	var seen []ollama.Progress
	release := sync.OnceFunc(func() { close(goOn) })
	err := b.client.Pull(t.Context(), name, func(p ollama.Progress) {
		seen = append(seen, p)
		if p.Path == digest && p.Done >= size/2 {
			release()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	grewTo(t, seen, digest, size)
	if first, last := seen[0], seen[len(seen)-1]; first.Stage != "pulling manifest" || last.Stage != "success" {
		t.Errorf("progress from %+v to %+v", first, last)
	}
	defer b.gone(t, name)
	b.answers(t, name)
}

// grewTo holds that the reports on a blob rise from less than all of it to all.
func grewTo(t *testing.T, seen []ollama.Progress, digest string, size int64) {
	t.Helper()
	var of []int64
	for _, p := range seen {
		if p.Path == digest {
			of = append(of, p.Done)
			if p.Total != size {
				t.Errorf("progress %+v, want %d bytes in all", p, size)
			}
		}
	}
	if len(of) < 2 || !slices.IsSorted(of) || of[0] == size || of[len(of)-1] != size {
		t.Errorf("%q: progress %d, want it to grow to %d", digest, of, size)
	}
}

func (b registryBench) answers(t *testing.T, name string) {
	t.Helper()
	if !b.has(t, name) {
		t.Errorf("models %+v, want %q among them", list(t, b.client), name)
	}
	model, err := b.client.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := llm.Collect(t.Context(), model, llm.Request{Messages: hello.Messages,
		Sampling: llm.Sampling{Temperature: new(0.0), MaxOutputTokens: 8}})
	if err != nil || resp.Text == "" || strings.Contains(resp.Text, "<|im_end|>") {
		t.Errorf("response %+v, error %v", resp, err)
	}
}

// pullsOnAfterCancel asks again at once, without a pause for the server.
func (b registryBench) pullsOnAfterCancel(t *testing.T, smol string) {
	name, digest, size := b.Name("stopped"), b.Offer(t, "stopped", smol, map[string]string{"template": chatML}), fileSize(t, smol)
	b.Disturb(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		return &after{w, size / 2, func() { <-r.Context().Done() }}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := len(b.ranges(digest))
	err := b.client.Pull(ctx, name, func(p ollama.Progress) {
		if p.Done >= size/2 {
			cancel()
		}
	})
	b.Disturb(nil)
	if !errors.Is(err, context.Canceled) || b.has(t, name) {
		t.Fatalf("error %v, listed %t; want it cancelled and nothing there", err, b.has(t, name))
	}
	if err := b.client.Pull(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
	defer b.gone(t, name)
	asked := b.ranges(digest)[before:]
	if last := asked[len(asked)-1]; len(asked) < 2 || from(t, last) < size/2 {
		t.Errorf("ranges %q, want the second half alone in the end", asked)
	}
	b.answers(t, name)
}

func from(t *testing.T, bytes string) (first int64) {
	t.Helper()
	if _, err := fmt.Sscanf(bytes, "%d-", &first); err != nil {
		t.Fatalf("range %q: %v", bytes, err)
	}
	return first
}

// pullsOverACut loses the connection once: the server goes on by itself.
func (b registryBench) pullsOverACut(t *testing.T) {
	const size = 1 << 20
	name, digest := b.Name("cut"), b.Offer(t, "cut", noise(t, size), nil)
	b.Disturb(func(w http.ResponseWriter, _ *http.Request) http.ResponseWriter {
		return &after{w, size / 2, func() {
			b.Disturb(nil)
			panic(http.ErrAbortHandler)
		}}
	})
	if err := b.client.Pull(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
	defer b.gone(t, name)
	if asked := b.ranges(digest); len(asked) != 2 || from(t, asked[1]) < size/2 {
		t.Errorf("ranges %q, want the second half alone after the cut", asked)
	}
}

// noise is a file of letters: a server pulls without looking into the weights.
func noise(t *testing.T, size int) string {
	t.Helper()
	data, dice := make([]byte, size), rand.New(rand.NewPCG(1, uint64(size)))
	for i := range data {
		data[i] = 'a' + byte(dice.IntN(26))
	}
	path := filepath.Join(t.TempDir(), "noise.gguf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func (b registryBench) failsToPull(t *testing.T) {
	for i, tc := range []struct {
		name  string
		fault func(digest string)
		says  string
	}{
		{"no blob", b.Withdraw, "file does not exist"},
		{"other bytes", func(string) {
			b.Disturb(func(w http.ResponseWriter, _ *http.Request) http.ResponseWriter { return spoilt{w} })
		}, "digest mismatch"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id, path := fmt.Sprintf("faulty%d", i), noise(t, 4096+i)
			name, digest := b.Name(id), b.Offer(t, id, path, nil)
			tc.fault(digest)
			err := b.client.Pull(t.Context(), name, nil)
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("pull %q", name)) || !strings.Contains(err.Error(), tc.says) || b.has(t, name) {
				t.Errorf("error %v, listed %t; want %q of %q", err, b.has(t, name), tc.says, name)
			}
			b.Disturb(nil)
			b.Offer(t, id, path, nil)
			if err := b.client.Pull(t.Context(), name, nil); err != nil {
				t.Fatalf("mended: %v", err)
			}
			b.gone(t, name)
		})
	}
	ghost := b.Name("ghost")
	err := b.client.Pull(t.Context(), ghost, nil)
	if !errors.Is(err, ollama.ErrModelNotFound) || !strings.Contains(err.Error(), ghost) {
		t.Errorf("error %v, want ErrModelNotFound of %q", err, ghost)
	}
}
