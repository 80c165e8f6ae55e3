package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"retort/internal/bench"
)

// Names of the arms, as rows and rounds show them; ours are among those of bench.
const (
	badgerArm     = "badger"
	sqliteArm     = "sqlite"
	oneArm        = "ours, 1 writer"
	coldArm       = "ours, files not in memory"
	boundArm      = "ours, 300 MB"
	jsonArm       = "json alone"
	datasketchArm = "datasketch"
)

// The bars of what has no peer.
const (
	statsBar  = 0.050 // s
	openBar   = 2.0   // s
	exportBar = 100e6 // B/s
	memoryBar = 300e6 // B

	memorySlack = 4 << 20 // B; the kernel counts some pages before it refuses them
)

// What is the same for all who ingest.
const (
	ingestBatch  = 1000 // examples, or rows, that are made durable together
	ingestPut    = 10   // so many batches are given to one Put, which commits about one at a time
	benchWriters = 8
	nearPerTexts = 10 // examples for each text that near duplicates are sought in
)

// rate is what most rows compare.
const rate = "examples_per_second"

// figuresArm is an arm that gives figures of its own.
func figuresArm(name string, run func(ctx context.Context) (map[string]float64, error)) bench.Arm {
	return bench.Arm{Name: name, Run: func(ctx context.Context, _ int) (bench.Sample, error) {
		values, err := run(ctx)
		return bench.Sample{Values: values}, err
	}}
}

// plan returns the chosen works and the rows that compare their arms. It makes what
// they read.
func (s *datasetSides) plan(ctx context.Context, only []string) (works []bench.Work, rows []bench.Row, err error) {
	for i, make := range []func(context.Context) (bench.Work, []bench.Row, error){
		s.ingestWork, s.writersWork, s.memoryWork, s.statsWork, s.openWork, s.exportWork, s.nearWork} {
		if !slices.Contains(only, datasetWorks[i]) {
			continue
		}
		w, r, err := make(ctx)
		if err != nil {
			return nil, nil, err
		}
		w.Name = datasetWorks[i]
		for k := range r {
			r[k].Work = w.Name
		}
		works, rows = append(works, w), append(rows, r...)
	}
	return works, rows, nil
}

// ingestWork stores all examples, a thousand at a time.
func (s *datasetSides) ingestWork(ctx context.Context) (bench.Work, []bench.Row, error) {
	s.r.note("Writing %d examples for the peers", s.examples)
	if err := writeRows(ctx, s.path("rows.jsonl"), s.seed, s.examples); err != nil {
		return bench.Work{}, nil, err
	}
	ours := func(ctx context.Context) (map[string]float64, error) {
		return s.inNew("store", func(dir string) (map[string]float64, error) { return s.step(ctx, "ingest", "--dir", dir) })
	}
	w := bench.Work{Cold: true, Arms: []bench.Arm{figuresArm(oursArm, ours), figuresArm(againArm, ours),
		figuresArm(badgerArm, func(ctx context.Context) (map[string]float64, error) {
			return s.inNew("badger", func(dir string) (map[string]float64, error) {
				return s.step(ctx, "badger", "--dir", dir, "--rows", s.path("rows.jsonl"))
			})
		})}}
	row := bench.Row{Name: "durable ingest", Ours: oursArm, Peer: badgerArm, Figure: bench.Value(rate), Unit: "examples/s", Goal: bench.AtLeast, Target: 0.5}
	aa, sqlite := row, row
	aa.Name, aa.Peer, aa.Goal, aa.Target = "A/A: durable ingest", againArm, bench.Equal, 1
	sqlite.Peer, sqlite.Target, sqlite.Skip = sqliteArm, 1, s.python.missing
	if sqlite.Skip == "" {
		w.Arms = append(w.Arms, figuresArm(sqliteArm, s.sqlite))
	}
	return w, []bench.Row{aa, row, sqlite}, nil
}

func (s *datasetSides) sqlite(ctx context.Context) (map[string]float64, error) {
	return s.inNew("sqlite", func(dir string) (map[string]float64, error) {
		values, err := s.script(ctx, s.python, "bench_sqlite.py", s.path("rows.jsonl"), dir+"/examples.db")
		if err == nil && int(values["examples"]) != s.examples {
			err = fmt.Errorf("%.0f of %d examples are there", values["examples"], s.examples)
		}
		return values, err
	})
}

// inNew lets do work in a new folder, which is removed after it.
func (s *datasetSides) inNew(name string, do func(dir string) (map[string]float64, error)) (map[string]float64, error) {
	dir, err := os.MkdirTemp(s.dir, name+"-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return do(dir)
}

// writersWork stores single examples, each on disk before its writer goes on.
func (s *datasetSides) writersWork(context.Context) (bench.Work, []bench.Row, error) {
	arm := func(name string, writers int) bench.Arm {
		return figuresArm(name, func(ctx context.Context) (map[string]float64, error) {
			return s.inNew("writers", func(dir string) (map[string]float64, error) {
				return s.step(ctx, "writers", "--dir", dir, "--writers", fmt.Sprint(writers))
			})
		})
	}
	w := bench.Work{Cold: true, Arms: []bench.Arm{arm(oursArm, benchWriters), arm(oneArm, 1)}}
	return w, []bench.Row{{Name: fmt.Sprintf("%d writers, one example at a time", benchWriters), Ours: oursArm, Peer: oneArm,
		Figure: bench.Value(rate), Unit: "examples/s", Goal: bench.AtLeast, Target: 5}}, nil
}

// fill makes the store that the works behind it read, once, and exports it.
func (s *datasetSides) fill(ctx context.Context) (err error) {
	if s.filled == nil {
		s.r.note("Filling a store with %d examples", s.examples)
		s.filled, err = s.step(ctx, "fill", "--dir", s.path("filled"), "--out", s.path("export.jsonl"))
	}
	return err
}

// memoryWork is what the process that filled the store and exported it took, and the
// same once more with no more memory than the bar.
func (s *datasetSides) memoryWork(ctx context.Context) (bench.Work, []bench.Row, error) {
	err := s.fill(ctx)
	w := bench.Work{Rounds: 1, Cold: true, Untimed: true, Arms: []bench.Arm{
		figuresArm(oursArm, func(context.Context) (map[string]float64, error) { return maps.Clone(s.filled), nil })}}
	bound := bench.Row{Name: "ingest and export with 300 MB", Ours: boundArm, Bar: memoryBar, Figure: bench.Value("group_bytes"), Unit: "B",
		Goal: bench.AtMost, Target: 1}
	slower := bench.Row{Name: "how long that takes", Ours: boundArm, Peer: oursArm, Figure: bench.Value("seconds"), Unit: "s"}
	if group, err := bench.NewMemoryGroup(memoryBar); err != nil {
		bound.Skip = oneLine(err)
		slower.Skip = bound.Skip
	} else {
		w.Arms = append(w.Arms, figuresArm(boundArm, s.bounded))
		err = group.Close()
		if err != nil {
			return w, nil, err
		}
	}
	peak := bench.Row{Name: "peak resident memory without a bound", Ours: oursArm, Bar: memoryBar, Figure: bench.Value("peak_bytes"), Unit: "B"}
	if _, err := bench.PeakMemory(); err != nil {
		peak.Skip = oneLine(err)
	}
	own := peak
	own.Name, own.Figure = "the same without mapped files", bench.Value("own_peak_bytes")
	return w, []bench.Row{bound, slower, peak, own}, err
}

// bounded fills a store and exports it with as much memory as the bar allows: the
// kernel ends what takes more.
func (s *datasetSides) bounded(ctx context.Context) (map[string]float64, error) {
	group, err := bench.NewMemoryGroup(memoryBar - memorySlack)
	if err != nil {
		return nil, err
	}
	defer group.Close()
	values, err := s.inNew("bounded", func(dir string) (map[string]float64, error) {
		return s.step(ctx, "fill", "--dir", dir+"/store", "--out", dir+"/export.jsonl", "--memory-group", group.Dir())
	})
	if err != nil {
		return nil, err
	}
	peak, err := group.Peak()
	values["group_bytes"] = float64(peak)
	return values, err
}

// statsWork sums up a store that was just opened.
func (s *datasetSides) statsWork(ctx context.Context) (bench.Work, []bench.Row, error) {
	err := s.fill(ctx)
	w := bench.Work{Arms: []bench.Arm{s.onFilled(oursArm, "stats")}}
	return w, []bench.Row{{Name: "learning stats", Ours: oursArm, Bar: statsBar, Figure: bench.Value("seconds"), Unit: "s",
		Goal: bench.AtMost, Target: 1}}, err
}

// onFilled runs a step on the store that fill made.
func (s *datasetSides) onFilled(arm, step string, args ...string) bench.Arm {
	return figuresArm(arm, func(ctx context.Context) (map[string]float64, error) {
		return s.step(ctx, step, append([]string{"--dir", s.path("filled")}, args...)...)
	})
}

// openWork opens a store that was closed cleanly.
func (s *datasetSides) openWork(ctx context.Context) (bench.Work, []bench.Row, error) {
	err := s.fill(ctx)
	w := bench.Work{Arms: []bench.Arm{s.onFilled(oursArm, "open"), s.onFilled(coldArm, "open", "--cold")}}
	row := bench.Row{Name: "open", Ours: oursArm, Bar: openBar, Figure: bench.Value("seconds"), Unit: "s", Goal: bench.AtMost, Target: 1}
	cold := row
	cold.Name, cold.Ours, cold.Goal = "open, files not in memory", coldArm, bench.None
	return w, []bench.Row{row, cold}, err
}

// exportWork writes all examples as OpenAI's lines. Its peer reads these lines and
// writes them again, which is what JSON costs without a store.
func (s *datasetSides) exportWork(ctx context.Context) (bench.Work, []bench.Row, error) {
	err := s.fill(ctx)
	w := bench.Work{Arms: []bench.Arm{s.onFilled(oursArm, "export", "--out", s.path("again.jsonl")),
		figuresArm(jsonArm, func(ctx context.Context) (map[string]float64, error) {
			return s.step(ctx, "json", "--rows", s.path("export.jsonl"), "--out", s.path("again.jsonl"))
		})}}
	row := bench.Row{Name: "export (either row will do)", Ours: oursArm, Bar: exportBar, Figure: bench.Value("bytes_per_second"), Unit: "B/s",
		Goal: bench.AtLeast, Target: 1}
	beside := row
	beside.Peer, beside.Target = jsonArm, 0.5
	return w, []bench.Row{row, beside}, err
}

// nearWork finds near duplicates among texts of 50 words, of which one in five
// nearly repeats another.
func (s *datasetSides) nearWork(ctx context.Context) (bench.Work, []bench.Row, error) {
	row := bench.Row{Name: "near duplicates", Ours: oursArm, Peer: datasketchArm, Figure: bench.Value("texts_per_second"), Unit: "texts/s",
		Goal: bench.AtLeast, Target: 5, Skip: s.datasketch.missing}
	found := row
	found.Name, found.Figure, found.Unit, found.Goal = "near duplicates found", bench.Value("found"), "texts", bench.None
	rows := []bench.Row{row, found}
	if row.Skip != "" {
		return bench.Work{}, rows, nil
	}
	if err := writeTexts(ctx, s.path("texts"), s.seed, max(1000, s.examples/nearPerTexts)); err != nil {
		return bench.Work{}, nil, err
	}
	w := bench.Work{Cold: true, Arms: []bench.Arm{
		figuresArm(oursArm, func(ctx context.Context) (map[string]float64, error) {
			return s.step(ctx, "near", "--rows", s.path("texts"))
		}),
		figuresArm(datasketchArm, func(ctx context.Context) (map[string]float64, error) {
			return s.script(ctx, s.datasketch, "bench_datasketch.py", s.path("texts"))
		})}}
	return w, rows, nil
}
