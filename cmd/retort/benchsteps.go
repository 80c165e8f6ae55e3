package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/dataset/forms"
	"retort/internal/bench"
	"retort/internal/rawbadger"
	"retort/llm"
)

// writerTime is how long single examples are stored.
const writerTime = 2 * time.Second

// benchStep is what a child of bench dataset is told.
type benchStep struct {
	dir, rows, out    string
	examples, writers int
	seed              uint64
	cold              bool
}

// benchSteps are what a child of bench dataset may do. They return figures.
var benchSteps = map[string]func(context.Context, benchStep) (map[string]float64, error){
	"ingest": stepIngest, "badger": stepBadger, "writers": stepWriters, "fill": stepFill,
	"stats": stepStats, "open": stepOpen, "export": stepExport, "json": stepJSON, "near": stepNear,
}

// benchStepCommand is the child in which a step of bench dataset is measured, so
// that none finds the memory or the collector of another's.
func (p *program) benchStepCommand() *cli.Command {
	return p.verb(&cli.Command{Name: "bench-step", Hidden: true, Usage: "one step of bench dataset",
		Flags: []cli.Flag{&cli.StringFlag{Name: "step"}, &cli.StringFlag{Name: "dir"}, &cli.StringFlag{Name: "rows"}, &cli.StringFlag{Name: "out"},
			&cli.IntFlag{Name: "examples"}, &cli.IntFlag{Name: "writers"}, &cli.Uint64Flag{Name: "seed"}, &cli.BoolFlag{Name: "cold"}},
	}, runBenchStep)
}

func runBenchStep(ctx context.Context, c *cli.Context, r *retort) error {
	do, ok := benchSteps[c.String("step")]
	if !ok {
		return usage("unknown step %q", c.String("step"))
	}
	values, err := do(ctx, benchStep{dir: c.String("dir"), rows: c.String("rows"), out: c.String("out"), examples: c.Int("examples"),
		writers: c.Int("writers"), seed: c.Uint64("seed"), cold: c.Bool("cold")})
	if err != nil {
		return err
	}
	return json.NewEncoder(r.stdout).Encode(values)
}

// inStore opens the store in dir, lets do work with it, and closes it.
func inStore(dir string, do func(*dataset.Store) error) error {
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

func stepIngest(ctx context.Context, b benchStep) (map[string]float64, error) {
	var took time.Duration
	var ended time.Time
	err := inStore(b.dir, func(s *dataset.Store) (err error) {
		took, err = b.ingest(ctx, s)
		ended = time.Now()
		return err
	})
	return map[string]float64{rate: float64(b.examples) / took.Seconds(), "close_seconds": time.Since(ended).Seconds()}, err
}

// ingest stores all examples and returns how long that took without their making.
func (b benchStep) ingest(ctx context.Context, s *dataset.Store) (took time.Duration, err error) {
	stored := 0
	for batch := range benchBatches(b.seed, b.examples) {
		began := time.Now()
		n, err := s.Put(ctx, batch...)
		took += time.Since(began)
		if err != nil {
			return took, err
		}
		stored += n
	}
	if stored != b.examples {
		return took, fmt.Errorf("%d of %d examples were new", stored, b.examples)
	}
	return took, nil
}

func stepBadger(ctx context.Context, b benchStep) (map[string]float64, error) {
	took, err := rawbadger.Ingest(b.dir, rowBatches(ctx, b.rows))
	return map[string]float64{rate: float64(b.examples) / took.Seconds()}, err
}

func stepWriters(ctx context.Context, b benchStep) (map[string]float64, error) {
	var next atomic.Int64
	var errs []error
	var mu sync.Mutex
	words := benchVocabulary()
	began := time.Now()
	err := inStore(b.dir, func(s *dataset.Store) error {
		var wg sync.WaitGroup
		for range b.writers {
			wg.Go(func() {
				for time.Since(began) < writerTime {
					if _, err := s.Put(ctx, benchExample(words, b.seed, int(next.Add(1)))); err != nil {
						mu.Lock()
						errs = append(errs, err)
						mu.Unlock()
						return
					}
				}
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	})
	return map[string]float64{rate: float64(next.Load()) / writerTime.Seconds()}, err
}

// stepFill is one process's way from nothing to an exported file.
func stepFill(ctx context.Context, b benchStep) (map[string]float64, error) {
	own := watchMemory()
	err := inStore(b.dir, func(s *dataset.Store) error {
		if _, err := b.ingest(ctx, s); err != nil {
			return err
		}
		_, err := b.export(ctx, s)
		return err
	})
	values := map[string]float64{"own_peak_bytes": own()}
	if peak, known := bench.PeakMemory(); known == nil {
		values["peak_bytes"] = float64(peak)
	}
	return values, err
}

// watchMemory looks at this process's own memory from time to time, until peak is
// called: the system keeps no peak of it.
func watchMemory() (peak func() float64) {
	stop, ended := make(chan struct{}), make(chan struct{})
	most := int64(0)
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			if now, err := bench.OwnMemory(); err == nil {
				most = max(most, now)
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return func() float64 {
		close(stop)
		<-ended
		return float64(most)
	}
}

// export writes all examples to b.out and returns the rate.
func (b benchStep) export(ctx context.Context, s *dataset.Store) (map[string]float64, error) {
	began := time.Now()
	err := writeFile(b.out, func(w io.Writer) error {
		counts, err := forms.Write(ctx, w, forms.Options{Form: forms.OpenAI}, s.All(ctx, dataset.Filter{}))
		if err == nil && counts.Written != b.examples {
			err = fmt.Errorf("%d of %d examples were exported", counts.Written, b.examples)
		}
		return err
	})
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
