package llamacpp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"retort/llm"
)

// phases is a device that takes the time of what it does.
type phases struct {
	device
	fill, steps, upkeep time.Duration
}

// maxAnswers is how many rows a decode has at most that reads no prompt.
const maxAnswers = 8

func (p *phases) decode(rows []row, quit func() bool) error {
	begun := time.Now()
	err := p.device.decode(rows, quit)
	if took := time.Since(begun); len(rows) > maxAnswers {
		p.fill += took
	} else {
		p.steps += took
	}
	return err
}

func (p *phases) share(src, dst, from, to int) {
	begun := time.Now()
	p.device.share(src, dst, from, to)
	p.upkeep += time.Since(begun)
}

func (p *phases) truncate(seq, n int) {
	begun := time.Now()
	p.device.truncate(seq, n)
	p.upkeep += time.Since(begun)
}

func (p *phases) save(seq, n, spare int) [][]byte {
	begun := time.Now()
	defer func() { p.upkeep += time.Since(begun) }()
	return p.device.save(seq, n, spare)
}

// finds is a prompt of exactly that many tokens, which any model goes on with.
func finds(b *testing.B, m *Model, which, tokens int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "List %d of what was found, and where.\n", which)
	for i := 0; ; i++ {
		fmt.Fprintf(&text, "%d. In the year %d a jar of type %d was found near the river by %d people.\n", i+1, 1800+(i*37+which*11)%200, i*which%97, i%7+2)
		got, err := m.Tokenize([]llm.Message{llm.User(text.String())}, "")
		if err != nil {
			b.Fatal(err)
		}
		if len(got.Prompt) >= tokens {
			break
		}
	}
	whole := text.String()
	for n := len(whole); n > 0; n-- {
		got, err := m.Tokenize([]llm.Message{llm.User(whole[:n])}, "")
		if err != nil {
			b.Fatal(err)
		}
		if len(got.Prompt) == tokens {
			return whole[:n]
		}
	}
	b.Fatalf("no prompt of %d tokens", tokens)
	return ""
}

// BenchmarkSamples is eight answers of 32 tokens to a prompt of 900 that no
// cache has seen, drawn so that they part early: in how much time the prompt is
// read, the answers are decoded, the memory is kept in order, and all else done.
func BenchmarkSamples(b *testing.B) {
	for _, id := range []string{smol, gemma} {
		b.Run(id, func(b *testing.B) {
			m := testModel(b, id, Options{Template: "plain", ContextSize: 2048, Steady: true, IgnoreEnd: true})
			clock := &phases{device: m.dev}
			m.sched.dev = clock // it is read behind the first submit
			var prompts []string
			for i := range b.N {
				prompts = append(prompts, finds(b, m, i+1, 900))
			}
			b.ResetTimer()
			for i, p := range prompts {
				req := llm.Request{Messages: []llm.Message{llm.User(p)}, Sampling: llm.Sampling{Temperature: new(1.0),
					TopK: new(40), TopP: new(0.95), Seed: new(int64(1000 * i)), MaxOutputTokens: 32}}
				if _, err := llm.CollectN(b.Context(), m, req, 8); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			rest := b.Elapsed() - clock.fill - clock.steps - clock.upkeep
			for name, took := range map[string]time.Duration{"fill": clock.fill, "steps": clock.steps, "upkeep": clock.upkeep, "rest": rest} {
				b.ReportMetric(float64(took.Microseconds())/1000/float64(b.N), name+"-ms/op")
			}
		})
	}
}
