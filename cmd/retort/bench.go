package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"retort/internal/bench"
)

func (p *program) benchCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name:  "bench",
		Usage: "measure the engine against Ollama, llama-server and the memory's bandwidth, side by side",
		Description: "All sides do the same work in turns, in an order drawn for each round, with the same file, threads and\n" +
			"numbers of tokens. A ratio is the median over the rounds of ours divided by the peer's, with its 95 %\n" +
			"interval. A machine that other programs use is refused (--force marks the result instead).\n\n" +
			"  retort bench --ollama http://127.0.0.1:11434 --peer http://127.0.0.1:8080\n\n" +
			"Rows without a peer need none. `make bench-peers` installs and starts both peers. Works for --only:\n" +
			strings.Join(benchWorks, ", ") + ".",
		Subcommands: []*cli.Command{p.benchDatasetCommand()},
		Flags: append(measuringFlags(7),
			&cli.StringFlag{Name: "model", Value: "gemma-3-270m", Usage: "the model's `ID`"},
			&cli.StringFlag{Name: "ollama", Usage: "`URL` of a running Ollama; it is given the model's file"},
			&cli.StringFlag{Name: "peer", Usage: "`URL` of a server of the OpenAI format that runs the model's file, such as llama-server"},
			&cli.StringFlag{Name: "peer-name", Usage: "what the peer is, where it does not say so: `NAME`"},
			&cli.StringFlag{Name: "ollama-name", Usage: "the same of the Ollama"}),
	}, runBench)
}

// measuringFlags are those of every measurement in rounds.
func measuringFlags(rounds int) []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "rounds", Value: rounds, Usage: "rounds of each work"},
		&cli.StringFlag{Name: "only", Usage: "these works alone: `NAME,...`"},
		&cli.StringFlag{Name: "save", Usage: "write the result, every round of it, to `FILE` as JSON too; what was measured, where it ends early"},
		&cli.DurationFlag{Name: "patience", Value: 10 * time.Second, Usage: "how long to wait for a quiet machine"},
		&cli.Int64Flag{Name: "seed", Value: 1, Usage: "of the data and the order"},
		&cli.BoolFlag{Name: "force", Usage: "measure on a busy machine too, and say so in the result"},
	}
}

// benchWorks are the works that --only knows, in the order they run.
var benchWorks = []string{"stream", "greedy", "samples", "prefix", "score", "limit", "memory"}

// measured is the result of any measurement; its JSON names are stable.
type measured struct {
	Rows    []bench.Result `json:"rows"`
	Rounds  []bench.Round  `json:"rounds"`
	Machine bench.Machine  `json:"machine"`
	Seed    int64          `json:"seed"`
	Loaded  bool           `json:"loaded"` // taken on a busy machine, by force
}

// measure computes rows from what was measured on m.
func measure(runs bench.Runs, rows []bench.Row, m bench.Machine, seed uint64) measured {
	v := measured{Rounds: runs.Rounds, Machine: m, Seed: int64(seed), Loaded: runs.Loaded}
	v.Machine.End()
	for _, row := range rows {
		v.Rows = append(v.Rows, row.Result(runs.Rounds, seed))
	}
	return v
}

// benchView is what bench says of a model.
type benchView struct {
	measured
	Model   string `json:"model"`
	Threads int    `json:"threads"`
}

func runBench(ctx context.Context, c *cli.Context, r *retort) error {
	only, err := chosenWorks(c, benchWorks)
	if err != nil {
		return err
	}
	s, err := r.benchSides(ctx, c)
	if err != nil {
		return err
	}
	defer s.close()
	works, rows, err := s.plan(ctx, only)
	if err != nil {
		return err
	}
	runs, err := r.runWorks(ctx, works, s.options(c))
	view := benchView{measure(runs, rows, s.machine, s.seed), s.id, s.threads}
	for i := range view.Rows {
		view.Rows[i].Model = s.id
	}
	if err := endBench(c, view, err); err != nil {
		return err
	}
	r.showMeasured(fmt.Sprintf("%s, %d threads", s.id, s.threads), view.measured)
	return r.object(view)
}

// endBench saves what was measured where that is wished. It returns err, by which
// the measurement ended, with advice.
func endBench(c *cli.Context, view any, err error) error {
	if errors.Is(err, bench.ErrLoaded) {
		err = withHint(err, "wait for the machine to be quiet, or add --force")
	}
	return errors.Join(err, saveBench(c.String("save"), view))
}

func saveBench(path string, v any) error {
	if path == "" {
		return nil
	}
	var text bytes.Buffer
	if err := (output{stdout: &text, asJSON: true}).object(v); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}

// chosenWorks checks what the command line says of the works to run, and returns
// those that it chooses among known.
func chosenWorks(c *cli.Context, known []string) ([]string, error) {
	if c.Int("rounds") < 1 {
		return nil, usage("--rounds is %d, want 1 or more", c.Int("rounds"))
	}
	if c.String("only") == "" {
		return known, nil
	}
	chosen := strings.Split(c.String("only"), ",")
	for _, name := range chosen {
		if !slices.Contains(known, name) {
			return nil, usage("unknown work %q (known: %s)", name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// runWorks runs works with a progress bar.
func (r *retort) runWorks(ctx context.Context, works []bench.Work, opts bench.Options) (runs bench.Runs, err error) {
	bar := r.bar("Measuring", int64(bench.Steps(works, opts.Rounds)), "runs")
	defer bar.end(&err)
	opts.Progress = func(done int, what string) {
		bar.set(int64(done))
		bar.describe(" " + what)
	}
	return bench.Run(ctx, works, opts)
}

// showMeasured prints v, which is about what.
func (r *retort) showMeasured(what string, v measured) {
	m := v.Machine
	r.printf("%s on %s (%d cores, %s)\n", what, m.CPU, m.Cores, m.System)
	for _, name := range slices.Sorted(maps.Keys(m.Versions)) {
		r.printf("  %s: %s\n", name, m.Versions[name])
	}
	if v.Loaded {
		r.printf("  Taken on a busy machine: the figures say little.\n")
	}
	table := [][]string{{"WORK", "AGAINST", "RATIO", "95 % INTERVAL", "TARGET", "HOLDS", "OURS", "PEER", "UNIT"}}
	for _, row := range v.Rows {
		table = append(table, measuredRow(row))
	}
	r.table(table)
}

func measuredRow(row bench.Result) []string {
	switch {
	case row.Error != "":
		return []string{row.Name, row.Peer, "-", row.Error}
	case row.Skipped != "":
		return []string{row.Name, row.Peer, "-", "skipped: " + row.Skipped}
	}
	target, holds := "", ""
	if row.Target != nil {
		target, holds = fmt.Sprintf("%s %.2f", row.Goal, *row.Target), "no"
		if *row.Holds {
			holds = "yes"
		}
	}
	return []string{row.Name, row.Peer, fmt.Sprintf("%.3f", row.Ratio), fmt.Sprintf("%.3f to %.3f", row.Low, row.High),
		target, holds, fmt.Sprintf("%.4g", row.Ours), fmt.Sprintf("%.4g", row.PeerFigure), row.Unit}
}
