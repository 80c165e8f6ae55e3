package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/urfave/cli/v2"

	"retort/internal/bench"
	"retort/local/llamacpp"
)

// The kinds of arms that bench-hold opens.
const (
	holdBase      = "base"
	holdCandidate = "candidate"
)

// benchHoldCommand is the child in which memory is measured: it opens a model,
// its candidate, or both, lets each answer, and waits until its input ends.
func (p *program) benchHoldCommand() *cli.Command {
	return p.verb(&cli.Command{Name: "bench-hold", Hidden: true, Usage: "hold models in memory, for bench",
		Flags: []cli.Flag{&cli.StringFlag{Name: "file"}, &cli.StringFlag{Name: "adapter"}, &cli.StringFlag{Name: "arms"}, &cli.IntFlag{Name: "threads"}},
	}, runBenchHold)
}

func runBenchHold(ctx context.Context, c *cli.Context, r *retort) error {
	engine, err := r.engine()
	if err != nil {
		return err
	}
	for _, arm := range strings.Split(c.String("arms"), ",") {
		opts := llamacpp.Options{ID: arm, Template: rawTemplate, Threads: c.Int("threads"), ContextSize: benchContext,
			Parallel: 4, Prefixes: 2, IgnoreEnd: true} // what one owner's A/B takes
		if arm == holdCandidate {
			opts.Adapters = []llamacpp.Adapter{{Path: c.String("adapter"), Scale: 1}}
		}
		m, err := engine.Open(ctx, c.String("file"), opts)
		if err != nil {
			return err
		}
		defer m.Close()
		if _, err := bench.Generate(ctx, m, bench.Ask{Prompt: "Once upon a time", Output: 16, TopK: 1, TopP: 1}); err != nil {
			return err
		}
	}
	fmt.Fprintln(r.stdout, "ready")
	_, err = io.Copy(io.Discard, r.p.stdin)
	return err
}

// memoryWork is what a base and its candidate take in one process and in two.
func (s *benchSides) memoryWork(context.Context) (bench.Work, []bench.Row, error) {
	adapter, err := s.randomAdapter()
	if err != nil {
		return bench.Work{}, nil, err
	}
	measure := func(groups ...string) func(context.Context, int) (bench.Sample, error) {
		return func(ctx context.Context, _ int) (bench.Sample, error) { return s.hold(ctx, adapter, groups) }
	}
	w := bench.Work{Rounds: 3, Untimed: true, Arms: []bench.Arm{{Name: oursArm, Run: measure(holdBase + "," + holdCandidate)},
		{Name: processesArm, Run: measure(holdBase, holdCandidate)}}}
	row := bench.Row{Name: "resident memory of base and candidate", Ours: oursArm, Peer: processesArm,
		Figure: bench.Value("resident_bytes"), Unit: "B", Goal: bench.AtMost, Target: 0.6}
	shared := row
	shared.Name, shared.Figure, shared.Goal = "the same, shared pages counted once", bench.Value("proportional_bytes"), bench.None
	return w, []bench.Row{row, shared}, nil
}

// hold opens each group of arms in a process of its own, all at once, and
// returns the sums of what they take.
func (s *benchSides) hold(ctx context.Context, adapter string, groups []string) (bench.Sample, error) {
	self, err := os.Executable()
	if err != nil {
		return bench.Sample{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the processes are waited for
	var pids []int
	for _, arms := range groups {
		cmd := exec.CommandContext(ctx, self, "bench-hold", "--home", s.r.path(), "--file", s.file, "--adapter", adapter,
			"--arms", arms, "--threads", fmt.Sprint(s.threads))
		stop, err := start(cmd)
		if err != nil {
			return bench.Sample{}, fmt.Errorf("hold %s: %w", arms, err)
		}
		defer stop()
		pids = append(pids, cmd.Process.Pid)
	}
	resident, proportional, err := bench.Memory(pids)
	return bench.Sample{Values: map[string]float64{"resident_bytes": float64(resident), "proportional_bytes": float64(proportional)}}, err
}

// start starts cmd and waits until it is ready; stop ends it and waits.
func start(cmd *exec.Cmd) (stop func(), err error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		stdin.Close()
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err == nil && line == "ready\n" {
		return stop, nil
	}
	stop()
	return nil, errors.Join(errors.New(strings.TrimSpace(said.String())), err)
}
