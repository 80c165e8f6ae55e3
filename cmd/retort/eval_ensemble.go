package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"retort/dataset"
	"retort/ensemble"
	"retort/ensemble/calibration"
	"retort/ensemble/meaning"
	"retort/llm"
	"retort/trainer"
)

func (p *program) evalEnsembleCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name:  "ensemble",
		Usage: "compare one sample, each member and each strategy on the same questions",
		Description: "Each line of FILE holds {\"input\": ..., \"answer\": ...} and perhaps \"system\". Every model is asked once; all\n" +
			"strategies decide over the same answers, so that they are compared in pairs. With --record the answers\n" +
			"are kept, and a run that was broken off goes on where it was.\n\n" +
			"  retort eval ensemble --data test.jsonl --shots shots.jsonl --choices --calibrate unlabelled.jsonl",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "data", Usage: "`FILE` of questions"},
			&cli.StringSliceFlag{Name: "members", Usage: "ask exactly these models (`ID,...`)"},
			&cli.IntFlag{Name: "models", Value: 2, Usage: "without --members: ask the `N` best models there are"},
			&cli.IntFlag{Name: "samples", Value: 8, Usage: "draw `K` answers from each model"},
			&cli.StringSliceFlag{Name: "strategies", Usage: "compare only these (`NAME,...`); fuse and judges ask models again"},
			&cli.StringFlag{Name: "task-type", Value: "general", Usage: "what kind of `TASK` this is"},
			&cli.StringFlag{Name: "shots", Usage: "`FILE` of labelled examples to show, each answer once in a round"},
			&cli.IntFlag{Name: "rounds", Value: 3, Usage: "rounds of --shots in one prompt"},
			&cli.StringFlag{Name: "instructions", Usage: "`TEXT` before the examples; without it one that lists the answers"},
			&cli.BoolFlag{Name: "choices", Usage: "the answers in --shots are all there are"},
			&cli.StringFlag{Name: "calibrate", Usage: "with --choices: `FILE` of questions to find out each model's leaning on"},
			&cli.Float64Flag{Name: "temperature", Value: 0.7, Usage: "of the draw"},
			&cli.Int64Flag{Name: "seed", Value: 7, Usage: "of the draw"},
			&cli.IntFlag{Name: "max-tokens", Value: 64, Usage: "longest answer, in tokens"},
			&cli.IntFlag{Name: "limit", Usage: "only the first `N` questions; 0 is all"},
			&cli.StringFlag{Name: "record", Usage: "`FILE` that keeps what the models said"},
			&cli.BoolFlag{Name: "learn", Usage: "log the outcomes, to learn weights and calibration from"},
		},
	}, runEvalEnsemble)
}

// comparison is one run of eval ensemble.
type comparison struct {
	*retort
	items    []trainer.Item
	members  []ensemble.Member
	opts     ensemble.Options
	sampling llm.Sampling
	arms     []arm
}

// arm is one way of answering and how it did, item by item.
type arm struct {
	name     string
	strategy ensemble.Strategy
	members  []ensemble.Member
	outcomes []ensemble.Outcome
	right    []bool
}

func runEvalEnsemble(ctx context.Context, c *cli.Context, r *retort) (err error) {
	rec, err := openRecording(c.String("record"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rec.Close()) }()
	cmp, err := r.comparison(ctx, c, rec)
	if err != nil {
		return err
	}
	if err := cmp.makeArms(c.StringSlice("strategies")); err != nil {
		return err
	}
	for i := range cmp.arms {
		if err := cmp.run(ctx, &cmp.arms[i]); err != nil {
			return err
		}
	}
	if c.Bool("learn") {
		if err := cmp.learn(ctx); err != nil {
			return err
		}
	}
	v := cmp.view()
	v.print(r, c.String("data"))
	return r.object(v)
}

// comparison opens the members and shows them their examples.
func (r *retort) comparison(ctx context.Context, c *cli.Context, rec *recording) (*comparison, error) {
	if c.String("data") == "" {
		return nil, usage("eval ensemble wants --data FILE")
	}
	items, err := readItems(c.String("data"))
	if err != nil {
		return nil, err
	}
	if c.Int("samples") < 1 || c.Int("models") < 1 || c.Int("rounds") < 1 {
		return nil, usage("--samples, --models and --rounds want 1 or more")
	}
	cmp := &comparison{retort: r, items: firstN(items, c.Int("limit")),
		opts: ensemble.Options{TaskType: c.String("task-type"), AllVotes: true},
		sampling: llm.Sampling{Temperature: new(c.Float64("temperature")), Seed: new(c.Int64("seed")),
			MaxOutputTokens: c.Int("max-tokens")}}
	cmp.members, err = r.members(ctx, memberChoice{ids: c.StringSlice("members"), n: c.Int("models"), taskType: c.String("task-type")})
	if err != nil {
		return nil, err
	}
	var shots []trainer.Item
	if path := c.String("shots"); path != "" {
		if shots, err = readItems(path); err != nil {
			return nil, err
		}
	}
	answers := answersOf(shots)
	prefixes := fewShot(c.String("instructions"), answers, shots, c.Int("rounds"))
	for i := range cmp.members {
		m := &cmp.members[i]
		m.Model, m.Samples = rec.model(m.Model), c.Int("samples")
		if len(prefixes) > 0 {
			m.Prefixes = [][]llm.Message{prefixes[i%len(prefixes)]}
		}
	}
	if !c.Bool("choices") {
		return cmp, nil
	}
	if len(answers) == 0 {
		return nil, usage("--choices wants --shots")
	}
	return cmp, cmp.bind(ctx, answers, c.String("calibrate"))
}

// bind makes answers the only ones there are, and takes off what each member
// prefers whatever it is asked.
func (cmp *comparison) bind(ctx context.Context, answers []string, path string) (err error) {
	var batch []llm.Request
	if path != "" {
		items, err := readQuestions(path)
		if err != nil {
			return err
		}
		for _, it := range items {
			batch = append(batch, cmp.request(it))
		}
	}
	bar := cmp.bar("Calibrating the members", int64(len(cmp.members)*len(batch)), "q")
	defer bar.end(&err)
	for i, m := range cmp.members {
		m.Choices = answers
		if len(batch) > 0 {
			if m, err = m.Calibrate(ctx, batch, func(done, _ int) { bar.set(int64(i*len(batch) + done)) }); err != nil {
				return err
			}
		}
		cmp.members[i] = m
	}
	return nil
}

func (cmp *comparison) request(it trainer.Item) llm.Request {
	return llm.Request{Messages: it.Prompt(), Sampling: cmp.sampling}
}

// ask is the request for item i: each has a seed of its own, or an unlucky draw
// would be the same for all.
func (cmp *comparison) ask(i int) llm.Request {
	req := cmp.request(cmp.items[i])
	if s := req.Sampling.Seed; s != nil {
		req.Sampling.Seed = new(*s + int64(i)*seedStride)
	}
	return req
}

// seedStride keeps the seeds of one item's samples apart from the next item's.
const seedStride = 1000

// answersOf are the different answers of labelled items, sorted.
func answersOf(items []trainer.Item) []string {
	var out []string
	for _, it := range items {
		out = append(out, it.Answer)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// fewShot deals labelled examples over conversations of so many rounds each, so
// that members can be shown different ones.
func fewShot(instructions string, answers []string, shots []trainer.Item, rounds int) [][]llm.Message {
	if instructions == "" {
		instructions = "Answer with one of: " + strings.Join(answers, ", ") + "."
	}
	var out [][]llm.Message
	for batch := range slices.Chunk(shots, max(1, rounds*len(answers))) {
		prefix := []llm.Message{llm.System(instructions)}
		for _, s := range batch {
			prefix = append(prefix, llm.User(s.Input), llm.Assistant(s.Answer))
		}
		out = append(out, prefix)
	}
	return out
}

// makeArms lists what is compared: each member's one sample and its vote, and
// the strategies over all members.
func (cmp *comparison) makeArms(names []string) error {
	for _, m := range cmp.members {
		id := registryID(m.Model.ID())
		one := m
		one.Samples = 1
		cmp.arms = append(cmp.arms, arm{name: "one sample of " + id, strategy: ensemble.Vote, members: []ensemble.Member{one}})
		if m.Samples > 1 {
			cmp.arms = append(cmp.arms, arm{name: fmt.Sprintf("vote of %d of %s", m.Samples, id), strategy: ensemble.Vote, members: []ensemble.Member{m}})
		}
	}
	chosen := []ensemble.Strategy{ensemble.Vote, ensemble.BestOfN, ensemble.Weighted, ensemble.Consensus, ensemble.Specialization, ensemble.Cascade}
	if len(names) > 0 {
		chosen = nil
		for _, name := range names {
			s, err := ensemble.ParseStrategy(name)
			if err != nil {
				return err
			}
			chosen = append(chosen, s)
		}
	}
	for _, s := range chosen {
		cmp.arms = append(cmp.arms, arm{name: string(s), strategy: s, members: cmp.members})
	}
	return nil
}

// run answers every item by one arm. Where an arm has no answer it is wrong.
func (cmp *comparison) run(ctx context.Context, a *arm) (err error) {
	e, err := cmp.opts.New(a.strategy, a.members...)
	if err != nil {
		return err
	}
	a.outcomes, a.right = make([]ensemble.Outcome, len(cmp.items)), make([]bool, len(cmp.items))
	bar := cmp.bar("Asking: "+a.name, int64(len(cmp.items)), "q")
	defer bar.end(&err)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(demoInFlight)
	var mu sync.Mutex
	for i, it := range cmp.items {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() error {
			o, err := e.Query(gctx, cmp.ask(i))
			if err != nil && !errors.Is(err, ensemble.ErrNoConsensus) {
				return fmt.Errorf("%s: question %d: %w", a.name, i+1, err)
			}
			mu.Lock()
			defer mu.Unlock()
			a.outcomes[i] = o
			a.right[i] = o.Answer != "" && meaning.Key(o.Answer) == meaning.Key(it.Answer)
			bar.add(1)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// judgedArm is the arm whose confidence is reported and learnt from.
func (cmp *comparison) judgedArm() *arm {
	for i := range cmp.arms {
		if cmp.arms[i].strategy == ensemble.Weighted {
			return &cmp.arms[i]
		}
	}
	return &cmp.arms[len(cmp.arms)-1]
}

// learn logs the outcomes with what was right, for later weights and confidence.
func (cmp *comparison) learn(ctx context.Context) error {
	store, err := cmp.store()
	if err != nil {
		return err
	}
	a := cmp.judgedArm()
	var log []dataset.Query
	for i, o := range a.outcomes {
		q := queryOf(o, "eval")
		q.Right = new(a.right[i])
		log = append(log, q)
	}
	return store.PutQueries(ctx, log...)
}

// points are the raw confidences of what an arm answered, with what was right.
func (a *arm) points() []calibration.Point {
	var out []calibration.Point
	for i, o := range a.outcomes {
		if o.Answer == "" {
			continue
		}
		p := calibration.Point{Confidence: o.Signals.Raw()}
		if a.right[i] {
			p.Right = 1
		}
		out = append(out, p)
	}
	return out
}
