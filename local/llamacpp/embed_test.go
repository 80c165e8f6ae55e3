package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"retort/llm"
)

// paraphrases are sentences of which each two in a row say the same.
var paraphrases = []string{
	"How do I reset my password?", "I forgot my password and want a new one.",
	"The weather is sunny and warm today.", "It is a hot day with bright sunshine.",
	"The bank charged me a fee for the transfer.", "My bank took money from me for sending a transfer.",
	"The cat is sleeping on the sofa.", "A kitten is taking a nap on the couch.",
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestEmbed_placesParaphrasesNear(t *testing.T) {
	for _, id := range []string{smol, gemma} {
		m := sharedModel(t, id)
		vectors, err := m.Embed(t.Context(), paraphrases)
		if err != nil {
			t.Fatal(err)
		}
		same, other, n := 0.0, 0.0, 0
		for i, v := range vectors {
			if d := math.Abs(dot(v, v) - 1); len(v) != len(vectors[0]) || d > 1e-5 {
				t.Errorf("%s: vector %d of %d numbers has a length that is %g off", id, i, len(v), d)
			}
			for j := range i {
				if i == j+1 && i%2 == 1 {
					same += dot(v, vectors[j]) / float64(len(vectors)/2)
					continue
				}
				other, n = other+dot(v, vectors[j]), n+1
			}
		}
		t.Logf("%s: paraphrases %.3f, others %.3f", id, same, other/float64(n))
		if same <= other/float64(n) {
			t.Errorf("%s: paraphrases are at %.3f on average, other pairs at %.3f", id, same, other/float64(n))
		}
	}
}

// TestEmbed_togetherAsAlone compares texts of many lengths in one call with one
// call for each, from several goroutines.
func TestEmbed_togetherAsAlone(t *testing.T) {
	m := sharedModel(t, smol)
	var texts []string
	for i := range 40 {
		texts = append(texts, strings.Repeat(fmt.Sprintf("item %d, ", i), 1+i*i%30))
	}
	together, err := m.Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := worker; i < len(texts); i += 4 {
				alone, err := m.Embed(t.Context(), texts[i:i+1])
				if err != nil {
					t.Error(err)
					return
				}
				if d := 1 - dot(alone[0], together[i]); math.Abs(d) > 1e-3 {
					t.Errorf("text %d: %g away from itself", i, d)
				}
			}
		})
	}
	wg.Go(func() { collect(t, m, greedy("hi", 4)) })
	wg.Wait()
}

// TestEmbed_longText is longer than one decode.
func TestEmbed_longText(t *testing.T) {
	m := openTiny(t, tinyModel(t, "llama"), Options{ContextSize: 1024})
	long := strings.Repeat("abcdefgh", 100)
	v, err := m.Embed(t.Context(), []string{"x", long, long[:799], long})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := dot(v[1], v[3]), dot(v[0], v[1]); math.Abs(a-1) > 1e-4 || b > 0.999 {
		t.Errorf("equal texts at %g, different ones at %g", a, b)
	}
}

func TestEmbed_refusals(t *testing.T) {
	m := openTiny(t, tinyModel(t, "llama"), Options{ContextSize: 64})
	if _, err := m.Embed(t.Context(), []string{"a", strings.Repeat("b", 64)}); !errors.Is(err, llm.ErrContextOverflow) {
		t.Errorf("a text that is too long: %v, want ErrContextOverflow", err)
	}
	if _, err := m.Embed(t.Context(), []string{"a\x00b"}); !errors.Is(err, llm.ErrBadRequest) {
		t.Errorf("a zero byte: %v, want ErrBadRequest", err)
	}
	if v, err := m.Embed(t.Context(), nil); len(v) != 0 || err != nil {
		t.Errorf("no texts: %v, %v", v, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Embed(ctx, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := m.Embed(t.Context(), []string{"a"}); err != nil {
		t.Errorf("after a cancelled call: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Embed(t.Context(), []string{"a"}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

// TestEmbed_closeStopsIt closes a model in the middle of much work.
func TestEmbed_closeStopsIt(t *testing.T) {
	m := openTiny(t, tinyModel(t, "llama"), Options{})
	if _, err := m.Embed(t.Context(), []string{"a"}); err != nil {
		t.Fatal(err)
	}
	texts := make([]string, 2000)
	for i := range texts {
		texts[i] = strings.Repeat("word ", 100)
	}
	failed := make(chan error)
	for range 3 {
		go func() {
			_, err := m.Embed(context.WithoutCancel(t.Context()), texts)
			failed <- err
		}()
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	for range 3 {
		if err := <-failed; !errors.Is(err, ErrClosed) {
			t.Errorf("error %v, want ErrClosed", err)
		}
	}
}
