package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"retort/dataset"
	"retort/llm"
)

// benchVocabulary is what made-up examples are written in: about as hard to
// compress as prose.
func benchVocabulary() []string {
	rng := rand.New(rand.NewPCG(3, 4))
	words := make([]string, 4096)
	for i := range words {
		for range 1 + rng.IntN(3) {
			words[i] += string("bdfghklmnprstvwz"[rng.IntN(16)]) + string("aeiou"[rng.IntN(5)]) + string("nrstlm"[rng.IntN(6)])
		}
	}
	return words
}

// benchExample makes the n-th example, of about 1 KiB in the store. Equal seeds
// give equal examples.
func benchExample(words []string, seed uint64, n int) dataset.Example {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	text := func(size int) string {
		var b strings.Builder
		for b.Len() < size {
			b.WriteString(words[rng.IntN(len(words))])
			b.WriteByte(" .,\n"[max(0, rng.IntN(20)-16)])
		}
		return b.String()
	}
	return dataset.Example{
		Messages:     []llm.Message{llm.System("Answer briefly."), llm.User(fmt.Sprintf("Question %d: %s?", n, text(90)))},
		Response:     text(500),
		QualityScore: float64(700+rng.IntN(300)) / 1000,
		TaskType:     []string{"reasoning", "coding", "creative", "factual"}[n%4],
		CreatedAt:    time.Unix(1_700_000_000+int64(n), 0).UTC(),
		Source:       dataset.Source{Kind: "ensemble", Models: []string{"llamacpp/gemma-3-270m"}, Strategy: "best-of-n"},
	}
}

// benchBatches makes n examples, a batch at a time.
func benchBatches(seed uint64, n int) iter.Seq[[]dataset.Example] {
	words := benchVocabulary()
	return func(yield func([]dataset.Example) bool) {
		for from := 0; from < n; from += ingestBatch {
			batch := make([]dataset.Example, 0, ingestBatch)
			for i := from; i < min(n, from+ingestBatch); i++ {
				batch = append(batch, benchExample(words, seed, i))
			}
			if !yield(batch) {
				return
			}
		}
	}
}

// writeFile writes a file through a buffer.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	buf := bufio.NewWriterSize(f, 1<<20)
	err = write(buf)
	if err == nil {
		err = buf.Flush()
	}
	return errors.Join(err, f.Close())
}

// writeRows writes n examples as the store encodes them, one a line.
func writeRows(ctx context.Context, path string, seed uint64, n int) error {
	return writeFile(path, func(w io.Writer) error {
		for batch := range benchBatches(seed, n) {
			if err := ctx.Err(); err != nil {
				return err
			}
			for _, ex := range batch {
				ex = dataset.Identify(ex)
				ex.BaseQuality = new(ex.QualityScore)
				line, err := json.Marshal(ex)
				if err != nil {
					return err
				}
				if _, err := w.Write(append(line, '\n')); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// rowBatches reads lines, a batch at a time.
func rowBatches(ctx context.Context, path string) iter.Seq2[[][]byte, error] {
	return func(yield func([][]byte, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, dataset.MaxExampleSize)
		for {
			var batch [][]byte
			for len(batch) < ingestBatch && lines.Scan() {
				batch = append(batch, []byte(lines.Text()))
			}
			err := errors.Join(lines.Err(), ctx.Err())
			if len(batch) == 0 && err == nil || !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// writeTexts writes n texts of 50 words, one a line: every fifth repeats the one
// before it but for a word.
func writeTexts(ctx context.Context, path string, seed uint64, n int) error {
	rng := rand.New(rand.NewPCG(seed, 5))
	words := make([]string, 50)
	return writeFile(path, func(w io.Writer) error {
		for i := range n {
			if err := ctx.Err(); err != nil {
				return err
			}
			for k := range words {
				if i%5 != 4 {
					words[k] = fmt.Sprintf("w%d", rng.IntN(20_000))
				}
			}
			if i%5 == 4 {
				words[rng.IntN(len(words))] = "other"
			}
			if _, err := fmt.Fprintln(w, strings.Join(words, " ")); err != nil {
				return err
			}
		}
		return nil
	})
}
