package main

import (
	"context"
	"encoding/json"
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
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Value: "gemma-3-270m", Usage: "the model's `ID`"},
			&cli.IntFlag{Name: "rounds", Value: 7, Usage: "rounds of each work"},
			&cli.StringFlag{Name: "only", Usage: "these works alone: `NAME,...`"},
			&cli.StringFlag{Name: "ollama", Usage: "`URL` of a running Ollama; it is given the model's file"},
			&cli.StringFlag{Name: "peer", Usage: "`URL` of a server of the OpenAI format that runs the model's file, such as llama-server"},
			&cli.StringFlag{Name: "peer-name", Usage: "what the peer is, where it does not say so: `NAME`"},
			&cli.StringFlag{Name: "ollama-name", Usage: "the same of the Ollama"},
			&cli.StringFlag{Name: "save", Usage: "write the result, every round of it, to `FILE` as JSON too; what was measured, where it ends early"},
			&cli.DurationFlag{Name: "patience", Value: 10 * time.Second, Usage: "how long to wait for a quiet machine"},
			&cli.Int64Flag{Name: "seed", Value: 1, Usage: "of the prompts and the order"},
			&cli.BoolFlag{Name: "force", Usage: "measure on a busy machine too, and say so in the result"},
		},
	}, runBench)
}

// benchWorks are the works that --only knows, in the order they run.
var benchWorks = []string{"stream", "greedy", "samples", "prefix", "score", "limit", "memory"}

// benchView is the result; its JSON names are stable.
type benchView struct {
	Rows    []bench.Result `json:"rows"`
	Rounds  []bench.Round  `json:"rounds"`
	Machine bench.Machine  `json:"machine"`
	Model   string         `json:"model"`
	Threads int            `json:"threads"`
	Seed    int64          `json:"seed"`
	Loaded  bool           `json:"loaded"` // taken on a busy machine, by force
}

func runBench(ctx context.Context, c *cli.Context, r *retort) error {
	only, err := chosenWorks(c.String("only"))
	if err != nil {
		return err
	}
	if c.Int("rounds") < 1 {
		return usage("--rounds is %d, want 1 or more", c.Int("rounds"))
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
	view := s.view(runs, rows)
	if saved := saveBench(c.String("save"), view); saved != nil || err != nil {
		if errors.Is(err, bench.ErrLoaded) {
			err = withHint(err, "wait for the machine to be quiet, or add --force")
		}
		return errors.Join(err, saved)
	}
	r.showBench(view)
	return r.object(view)
}

// view computes rows from what was measured.
func (s *benchSides) view(runs bench.Runs, rows []bench.Row) benchView {
	v := benchView{Rounds: runs.Rounds, Machine: s.machine, Model: s.id, Threads: s.threads, Seed: int64(s.seed), Loaded: runs.Loaded}
	v.Machine.End()
	for _, row := range rows {
		res := row.Result(runs.Rounds, s.seed)
		res.Model = s.id
		v.Rows = append(v.Rows, res)
	}
	return v
}

func saveBench(path string, v benchView) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o600)
}

func chosenWorks(only string) ([]string, error) {
	if only == "" {
		return benchWorks, nil
	}
	chosen := strings.Split(only, ",")
	for _, name := range chosen {
		if !slices.Contains(benchWorks, name) {
			return nil, usage("unknown work %q (known: %s)", name, strings.Join(benchWorks, ", "))
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

func (r *retort) showBench(v benchView) {
	table := [][]string{{"WORK", "AGAINST", "RATIO", "95 % INTERVAL", "TARGET", "HOLDS", "OURS", "PEER", "UNIT"}}
	for _, row := range v.Rows {
		if row.Error != "" {
			table = append(table, []string{row.Name, row.Peer, "-", row.Error})
			continue
		}
		target, holds := "", ""
		if row.Target != nil {
			target, holds = fmt.Sprintf("%s %.2f", row.Goal, *row.Target), "no"
			if *row.Holds {
				holds = "yes"
			}
		}
		table = append(table, []string{row.Name, row.Peer, fmt.Sprintf("%.3f", row.Ratio), fmt.Sprintf("%.3f to %.3f", row.Low, row.High),
			target, holds, fmt.Sprintf("%.4g", row.Ours), fmt.Sprintf("%.4g", row.PeerFigure), row.Unit})
	}
	m := v.Machine
	r.printf("%s on %s (%d cores, %d threads, %s)\n", v.Model, m.CPU, m.Cores, v.Threads, m.System)
	for _, name := range slices.Sorted(maps.Keys(m.Versions)) {
		r.printf("  %s: %s\n", name, m.Versions[name])
	}
	if v.Loaded {
		r.printf("  Taken on a busy machine: the figures say little.\n")
	}
	r.table(table)
}
