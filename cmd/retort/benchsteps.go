package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/internal/bench"
	"retort/internal/rawbadger"
)

// writerTime is how long single examples are stored.
const writerTime = 2 * time.Second

// benchStep is what a child of bench dataset is told.
type benchStep struct {
	r                 *retort
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
			&cli.IntFlag{Name: "examples"}, &cli.IntFlag{Name: "writers"}, &cli.Uint64Flag{Name: "seed"}, &cli.BoolFlag{Name: "cold"}, &cli.StringFlag{Name: "memory-group"}},
	}, runBenchStep)
}

func runBenchStep(ctx context.Context, c *cli.Context, r *retort) error {
	do, ok := benchSteps[c.String("step")]
	if !ok {
		return usage("unknown step %q", c.String("step"))
	}
	if group := c.String("memory-group"); group != "" {
		if err := bench.JoinMemoryGroup(group); err != nil {
			return err
		}
	}
	values, err := do(ctx, benchStep{r: r, dir: c.String("dir"), rows: c.String("rows"), out: c.String("out"), examples: c.Int("examples"),
		writers: c.Int("writers"), seed: c.Uint64("seed"), cold: c.Bool("cold")})
	if err != nil {
		return err
	}
	return json.NewEncoder(r.stdout).Encode(values)
}

// inStore opens the store in dir, lets do work with it, and closes it.
func inStore(dir string, do func(*dataset.Store) error) error {
	defer boundMemory()() // as imports and exports do
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
	var list []dataset.Example
	put := func() error {
		began := time.Now()
		n, err := s.Put(ctx, list...)
		took += time.Since(began)
		stored, list = stored+n, list[:0]
		return err
	}
	for batch := range benchBatches(b.seed, b.examples) {
		if list = append(list, batch...); len(list) == ingestPut*ingestBatch {
			if err := put(); err != nil {
				return took, err
			}
		}
	}
	if err := put(); err != nil {
		return took, err
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

// stepWriters stores examples one by one. The clock stands while they are made.
func stepWriters(ctx context.Context, b benchStep) (map[string]float64, error) {
	var took time.Duration
	stored := 0
	err := inStore(b.dir, func(s *dataset.Store) error {
		for batch := range benchBatches(b.seed, b.examples) {
			began := time.Now()
			if err := b.putSingly(ctx, s, batch); err != nil {
				return err
			}
			took += time.Since(began)
			if stored += len(batch); took >= writerTime {
				break
			}
		}
		return nil
	})
	return map[string]float64{rate: float64(stored) / took.Seconds()}, err
}

// putSingly stores examples with as many writers as b says, of which each waits until
// its last one is on disk.
func (b benchStep) putSingly(ctx context.Context, s *dataset.Store, examples []dataset.Example) error {
	var next atomic.Int64
	errs := make([]error, b.writers)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(len(examples)) && errs[w] == nil; i = next.Add(1) {
				_, errs[w] = s.Put(ctx, examples[i-1])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// stepFill is one process's way from nothing to an exported file.
func stepFill(ctx context.Context, b benchStep) (map[string]float64, error) {
	own, began := watchMemory(), time.Now()
	err := inStore(b.dir, func(s *dataset.Store) error {
		if _, err := b.ingest(ctx, s); err != nil {
			return err
		}
		_, err := b.export(ctx, s)
		return err
	})
	values := map[string]float64{"own_peak_bytes": own(), "seconds": time.Since(began).Seconds()}
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
