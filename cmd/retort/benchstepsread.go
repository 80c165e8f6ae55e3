package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/dataset/forms"
	"retort/internal/bench"
	"retort/llm"
)

// export writes all examples to b.out, as `examples export` does until the file is in
// its place, and returns the rate.
func (b benchStep) export(ctx context.Context, s *dataset.Store) (map[string]float64, error) {
	began := time.Now()
	out, err := b.r.outgoingIn(forms.OpenAI, false)
	if err != nil {
		return nil, err
	}
	counts, err := b.r.export(ctx, newExport(b.out, forms.OpenAI, 0), out.only(s.All(ctx, dataset.Filter{})))
	if err == nil && counts.Written != b.examples {
		err = fmt.Errorf("%d of %d examples were exported", counts.Written, b.examples)
	}
	return written(b.out, began, err)
}

// written is the rate at which the file at path came to be.
func written(path string, began time.Time, err error) (map[string]float64, error) {
	took := time.Since(began)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return map[string]float64{"bytes_per_second": float64(info.Size()) / took.Seconds(), "seconds": took.Seconds()}, nil
}

func stepExport(ctx context.Context, b benchStep) (values map[string]float64, err error) {
	err = inStore(b.dir, func(s *dataset.Store) (err error) {
		values, err = b.export(ctx, s)
		return err
	})
	return values, err
}

// stepJSON reads exported lines and writes them again.
func stepJSON(ctx context.Context, b benchStep) (map[string]float64, error) {
	in, err := os.Open(b.rows)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	began := time.Now()
	err = writeFile(b.out, func(w io.Writer) error {
		lines, enc := json.NewDecoder(bufio.NewReaderSize(in, 1<<20)), json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for {
			var line struct {
				Messages []struct {
					Role    llm.Role `json:"role"`
					Content string   `json:"content"`
				} `json:"messages"`
			}
			err := lines.Decode(&line)
			if err == io.EOF {
				return ctx.Err()
			}
			if err == nil {
				err = enc.Encode(line)
			}
			if err != nil {
				return err
			}
		}
	})
	return written(b.out, began, err)
}

// stepStats takes the first sum of a store that was just opened, and a second one.
func stepStats(ctx context.Context, b benchStep) (values map[string]float64, err error) {
	err = inStore(b.dir, func(s *dataset.Store) error {
		var took [2]time.Duration
		for i := range took {
			began := time.Now()
			st, err := s.Stats(ctx)
			took[i] = time.Since(began)
			if err != nil {
				return err
			}
			if st.Total != b.examples {
				return fmt.Errorf("%d of %d examples were counted", st.Total, b.examples)
			}
		}
		values = map[string]float64{"seconds": took[0].Seconds(), "again_seconds": took[1].Seconds()}
		return nil
	})
	return values, err
}

// stepOpen opens the store with its files in memory, or with none of them.
func stepOpen(_ context.Context, b benchStep) (map[string]float64, error) {
	touch := readThrough
	if b.cold {
		touch = bench.DropCache
	}
	if err := eachFile(b.dir, touch); err != nil {
		return nil, err
	}
	began := time.Now()
	var took time.Duration
	err := inStore(b.dir, func(*dataset.Store) error {
		took = time.Since(began)
		return nil
	})
	return map[string]float64{"seconds": took.Seconds(), "close_seconds": (time.Since(began) - took).Seconds()}, err
}

func readThrough(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

func eachFile(dir string, do func(path string) error) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return do(path)
	})
}

// stepNear finds near duplicates among lines.
func stepNear(_ context.Context, b benchStep) (map[string]float64, error) {
	text, err := os.ReadFile(b.rows)
	if err != nil {
		return nil, err
	}
	var examples []dataset.Example
	for line := range strings.Lines(string(text)) {
		examples = append(examples, dataset.Identify(dataset.Example{
			Messages: []llm.Message{llm.User(strings.TrimSpace(line))}, Response: "ok"}))
	}
	began := time.Now()
	found := clean.NearDuplicates(examples, clean.Parameters{})
	return map[string]float64{"texts_per_second": float64(len(examples)) / time.Since(began).Seconds(), "found": float64(len(found))}, nil
}
