package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"retort/internal/bench"
	"retort/llm"
	"retort/local/llamacpp"
)

// Names of the arms, as rows and rounds show them.
const (
	oursArm      = "ours"
	againArm     = "ours again"
	ollamaArm    = "ollama"
	peerArm      = "peer"
	oneByOneArm  = "ours, 8 calls, no prefix cache"
	firstArm     = "ours, first request"
	separateArm  = "ours, 4 requests, no prefix cache"
	cachedArm    = "ours, 4 requests"
	bandwidthArm = "read bandwidth"
	processesArm = "two processes"
)

// targetModel is the one that the targets are for.
const targetModel = "gemma-3-270m"

// The work, in tokens and answers.
const (
	streamPrompt, streamOutput   = 128, 128
	samplesPrompt, samplesOutput = 900, 32
	samplesAnswers               = 8
	prefixPrompt                 = 1000
	scorePrompt                  = 450
	limitOutput                  = 64
)

// plan returns the chosen works and the rows that compare their arms.
func (s *benchSides) plan(ctx context.Context, only []string) (works []bench.Work, rows []bench.Row, err error) {
	for i, make := range []func(context.Context) (bench.Work, []bench.Row, error){
		s.streamWork, s.greedyWork, s.samplesWork, s.prefixWork, s.scoreWork, s.limitWork, s.memoryWork} {
		if !slices.Contains(only, benchWorks[i]) {
			continue
		}
		w, r, err := make(ctx)
		if err != nil {
			return nil, nil, err
		}
		w.Name = benchWorks[i]
		for k := range r {
			r[k].Work = w.Name
			if s.id != targetModel && r[k].Goal != bench.Equal {
				r[k].Goal = bench.None
			}
		}
		works, rows = append(works, w), append(rows, r...)
	}
	return works, rows, nil
}

// settle wakes a side.
var settle = bench.Ask{Prompt: "List 0 of what was found.\nItem 1: a", Output: 16, TopK: 1, TopP: 1}

func (s *benchSides) settled(m llm.Model) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := bench.Generate(ctx, m, settle)
		return err
	}
}

// peers returns an arm for each peer that is there.
func (s *benchSides) peers(onOllama, onPeer func(context.Context, bench.Ask) (bench.Sample, error), ask func(round int) (bench.Ask, error)) []bench.Arm {
	var arms []bench.Arm
	add := func(name string, settled, run func(context.Context, bench.Ask) (bench.Sample, error)) {
		arms = append(arms, bench.Arm{Name: name,
			Settle: func(ctx context.Context) error { _, err := settled(ctx, settle); return err },
			Run: func(ctx context.Context, round int) (bench.Sample, error) {
				a, err := ask(round)
				if err != nil {
					return bench.Sample{}, err
				}
				return run(ctx, a)
			}})
	}
	if s.ollama != nil {
		add(ollamaArm, s.ollama.Generate, onOllama)
	}
	if s.peer != nil {
		add(peerArm, s.peer.Generate, onPeer)
	}
	return arms
}

// own returns an arm in which m does run.
func (s *benchSides) own(name string, m llm.Model, run func(ctx context.Context, round int) (bench.Sample, error)) bench.Arm {
	return bench.Arm{Name: name, Settle: s.settled(m), Run: run}
}

// streamWork is one answer of 128 tokens to a prompt of 128, by the engine's own
// chain of samplers, which both peers have too.
func (s *benchSides) streamWork(context.Context) (bench.Work, []bench.Row, error) {
	w, rows := s.streams("decode, one stream", 0, bench.Ask{Output: streamOutput, Temperature: 0.7, TopK: 40, TopP: 0.95})
	aa := bench.Row{Name: "A/A: decode, one stream", Ours: oursArm, Peer: againArm, Figure: bench.DecodeRate, Unit: "tok/s", Goal: bench.Equal, Target: 1}
	return w, append([]bench.Row{aa}, rows...), nil
}

// greedyWork is the same with the likeliest token each time: what is left when
// sampling costs next to nothing.
func (s *benchSides) greedyWork(context.Context) (bench.Work, []bench.Row, error) {
	w, rows := s.streams("decode, one stream, greedy", 2, bench.Ask{Output: streamOutput, TopK: 1, TopP: 1})
	return w, rows, nil
}

// streams compares single streams that sample as a does. Its prompts are those
// of two works from first on.
func (s *benchSides) streams(name string, first int, a bench.Ask) (bench.Work, []bench.Row) {
	ask := func(work int) func(round int) (bench.Ask, error) {
		return func(round int) (_ bench.Ask, err error) {
			a := a
			a.Seed = int64(round + 1)
			a.Prompt, err = s.text(work, round, streamPrompt)
			return a, err
		}
	}
	ours := func(work int) func(ctx context.Context, round int) (bench.Sample, error) {
		return func(ctx context.Context, round int) (bench.Sample, error) {
			a, err := ask(work)(round)
			if err != nil {
				return bench.Sample{}, err
			}
			return bench.Generate(ctx, s.ours, a)
		}
	}
	w := bench.Work{Output: a.Output, Arms: []bench.Arm{s.own(oursArm, s.ours, ours(first)), s.own(againArm, s.ours, ours(first+1))}}
	row := func(peer string, target float64) bench.Row {
		return bench.Row{Name: name, Ours: oursArm, Peer: peer, Figure: bench.DecodeRate, Unit: "tok/s", Goal: bench.AtLeast, Target: target}
	}
	early := bench.Row{Name: "time to first token", Ours: oursArm, Figure: bench.FirstText, Unit: "s"}
	var rows []bench.Row
	if s.ollama != nil {
		onOllama := early
		onOllama.Peer, onOllama.Goal, onOllama.Target = ollamaArm, bench.AtMost, 0.5
		rows = append(rows, row(ollamaArm, 1.4), onOllama)
	}
	if s.peer != nil {
		early.Peer = peerArm
		rows = append(rows, row(peerArm, 1.05), early)
	}
	w.Arms = append(w.Arms, s.peers(s.ollama.Generate, s.peer.Generate, ask(first))...)
	return w, rows
}

// samplesWork is eight answers of 32 tokens to one prompt of 900. They are drawn
// at temperature 1, so that they part early and have little to share but the
// prompt.
func (s *benchSides) samplesWork(context.Context) (bench.Work, []bench.Row, error) {
	ask := func(round int) (bench.Ask, error) {
		text, err := s.text(4, round, samplesPrompt)
		return bench.Ask{Prompt: text, Output: samplesOutput, Answers: samplesAnswers, Temperature: 1, TopK: 40, TopP: 0.95,
			Seed: int64(1000 * (round + 1))}, err
	}
	ours := func(m llm.Model, run func(context.Context, llm.Model, bench.Ask) (bench.Sample, error)) func(context.Context, int) (bench.Sample, error) {
		return func(ctx context.Context, round int) (bench.Sample, error) {
			a, err := ask(round)
			if err != nil {
				return bench.Sample{}, err
			}
			return run(ctx, m, a)
		}
	}
	w := bench.Work{Cold: true, Output: samplesOutput * samplesAnswers, Arms: []bench.Arm{s.own(oursArm, s.ours, ours(s.ours, bench.GenerateN)),
		s.own(oneByOneArm, s.uncached, ours(s.uncached, bench.GenerateEach))}}
	row := func(peer string, target float64) bench.Row {
		return bench.Row{Name: "8 samples of one prompt", Ours: oursArm, Peer: peer, Figure: bench.WallTime, Unit: "s", Goal: bench.AtMost, Target: target}
	}
	var rows []bench.Row
	if s.ollama != nil {
		rows = append(rows, row(ollamaArm, 0.12))
	}
	if s.peer != nil {
		rows = append(rows, row(peerArm, 0.95))
	}
	w.Arms = append(w.Arms, s.peers(s.ollama.GenerateN, s.peer.Generate, ask)...)
	return w, append(rows, row(oneByOneArm, 0.30)), nil
}

// prefixWork is two questions behind the same instructions of 1,000 tokens.
func (s *benchSides) prefixWork(context.Context) (bench.Work, []bench.Row, error) {
	run := func(question string) func(context.Context, int) (bench.Sample, error) {
		return func(ctx context.Context, round int) (bench.Sample, error) {
			text, err := s.text(5, round, prefixPrompt)
			if err != nil {
				return bench.Sample{}, err
			}
			return bench.Generate(ctx, s.ours, bench.Ask{Prompt: text + "\n\n" + question + "\nAnswer:", Output: 2, TopK: 1, TopP: 1})
		}
	}
	w := bench.Work{Ordered: true, Arms: []bench.Arm{
		s.own(firstArm, s.ours, run("Which item is the oldest one?")), s.own(oursArm, s.ours, run("How many of them are red now?"))}}
	return w, []bench.Row{{Name: "second request behind 1,000 tokens: first token", Ours: oursArm, Peer: firstArm,
		Figure: bench.FirstText, Unit: "s", Goal: bench.AtMost, Target: 0.10, Unequal: true}}, nil
}

// answers are what scoreWork scores.
var answers = []string{" a red copper lamp from the old harbour, 14 years old.", " a green wooden table from the museum, 92 years old.",
	" a white paper map from my uncle, 37 years old.", " a black iron key from the north market, 60 years old."}

// scoreWork is four given answers to one prompt, in one call and in four.
func (s *benchSides) scoreWork(context.Context) (bench.Work, []bench.Row, error) {
	run := func(work int, m *llamacpp.Model, calls [][]string) func(context.Context, int) (bench.Sample, error) {
		return func(ctx context.Context, round int) (bench.Sample, error) {
			text, err := s.text(work, round, scorePrompt)
			if err != nil {
				return bench.Sample{}, err
			}
			began, out := time.Now(), bench.Sample{}
			for _, call := range calls {
				scores, err := m.Score(ctx, llm.Request{Messages: []llm.Message{llm.User(text)}}, call)
				if err != nil {
					return out, err
				}
				for _, score := range scores {
					out.Output += score.Tokens
				}
			}
			out.Total = time.Since(began)
			return out, nil
		}
	}
	each := slices.Collect(slices.Chunk(answers, 1))
	w := bench.Work{Arms: []bench.Arm{s.own(oursArm, s.ours, run(6, s.ours, [][]string{answers})),
		s.own(separateArm, s.uncached, run(6, s.uncached, each)), s.own(cachedArm, s.ours, run(7, s.ours, each))}}
	row := bench.Row{Name: "scoring 4 answers to one prompt", Ours: oursArm, Peer: separateArm, Figure: bench.WallTime, Unit: "s", Goal: bench.AtMost, Target: 0.45}
	cached := row
	cached.Peer, cached.Goal = cachedArm, bench.None
	return w, []bench.Row{row, cached}, nil
}

// limits are the weights that limitWork decodes. Those of sixteen bits are the
// quickest to multiply for what they take: with them it is memory that limits.
var limits = []struct {
	arm     string
	weights bench.Weights
	goal    bench.Goal
}{{"ours, 16 bits", bench.SixteenBits, bench.AtLeast}, {"ours, 8 bits", bench.EightBits, bench.None}}

// limitWork is how near decoding comes to reading the weights from memory and
// nothing else.
func (s *benchSides) limitWork(ctx context.Context) (w bench.Work, rows []bench.Row, err error) {
	for _, l := range limits {
		arm, size, err := s.limitArm(ctx, l.arm, l.weights)
		if err != nil {
			return w, nil, err
		}
		w.Arms = append(w.Arms, arm)
		rows = append(rows, bench.Row{Name: fmt.Sprintf("decode of %.1f GB, one stream", float64(size)/1e9), Ours: l.arm, Peer: bandwidthArm,
			Figure: bench.Value("bytes_per_second"), Unit: "B/s", Goal: l.goal, Target: 0.6, Unequal: true})
	}
	read := func(ctx context.Context, _ int) (bench.Sample, error) {
		rate, err := bench.Bandwidth(ctx, s.threads)
		return bench.Sample{Values: map[string]float64{"bytes_per_second": rate}}, err
	}
	w.Arms = append(w.Arms, bench.Arm{Name: bandwidthArm, Run: read})
	return w, rows, nil
}

// limitArm decodes a model of random weights, and returns how many bytes of it one
// token reads.
func (s *benchSides) limitArm(ctx context.Context, name string, weights bench.Weights) (arm bench.Arm, perToken int64, err error) {
	file, perToken, err := s.randomModel(weights)
	if err != nil {
		return arm, 0, err
	}
	big, err := s.open(ctx, file, llamacpp.Options{Prefixes: llamacpp.NoPrefixes})
	if err != nil {
		return arm, 0, err
	}
	return s.own(name, big, func(ctx context.Context, round int) (bench.Sample, error) {
		out, err := bench.Generate(ctx, big, bench.Ask{Prompt: fmt.Sprintf("Tell number %d", round), Output: limitOutput, TopK: 1, TopP: 1})
		if err != nil {
			return out, err
		}
		if out.Output != limitOutput {
			return out, fmt.Errorf("%d tokens, want %d", out.Output, limitOutput)
		}
		rate := float64(limitOutput-1) / (out.Total - out.First).Seconds()
		out.Values = map[string]float64{"tokens_per_second": rate, "bytes_per_second": rate * float64(perToken)}
		return out, nil
	}), perToken, nil
}
