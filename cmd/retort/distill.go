package main

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"retort/ensemble"
	"retort/llm"
)

func (p *program) distillCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name:  "distill",
		Usage: "have an ensemble answer many questions, and keep what is good enough to train on",
		Description: "FILE holds a question on each line, or a JSON object on each line: {\"input\": ..., \"system\": ..., \"task_type\":\n" +
			"...} or {\"messages\": [...]}; - is standard input. What the store holds already is not asked. --budget bounds\n" +
			"what all of it can cost, whatever happens; models on this machine need none. A run that ended early goes\n" +
			"on with the same command and --resume; flags that are left out are then the run's. Exit status 3 means that\n" +
			"something is left to ask, or that lines could not be used.\n\n" +
			"  retort distill --tasks questions.txt --task-type support --strategy consensus --budget 2.50\n" +
			"  retort distill --tasks questions.txt --resume --budget 5",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "tasks", Usage: "`FILE` of questions"},
			&cli.StringFlag{Name: "task-type", Usage: "what kind of `TASK` they are, where the file does not say; found out if not given"},
			&cli.StringFlag{Name: "system", Usage: "standing `INSTRUCTIONS` for the models, where the file has none"},
			&cli.IntFlag{Name: "models", Value: 3, Usage: "ask the `N` best models there are"},
			&cli.StringSliceFlag{Name: "members", Usage: "ask exactly these models (`ID,...`)"},
			&cli.StringFlag{Name: "strategy", Value: string(ensemble.BestOfN), Usage: "how to combine; `retort ensemble --help` lists them"},
			&cli.IntFlag{Name: "samples", Value: 1, Usage: "draw `K` answers from each model"},
			&cli.IntFlag{Name: "max-tokens", Value: 512, Usage: "longest answer, in tokens"},
			&cli.Float64Flag{Name: "temperature", Value: 0.7, Usage: "of the draw"},
			&cli.Int64Flag{Name: "seed", Usage: "of the draw"},
			&cli.Float64Flag{Name: "min-confidence", Usage: "below this, from 0 to 1, an answer is not kept (cascade: asks on)"},
			&cli.StringSliceFlag{Name: "judges", Usage: "models on this machine that compare the answers (`ID,...`; best-of-n)"},
			&cli.BoolFlag{Name: "cross-likelihood", Usage: "let local models score each other's answers (best-of-n)"},
			&cli.StringFlag{Name: "embedder", Usage: "`ID` of a model on this machine that tells which answers mean the same"},
			&cli.StringFlag{Name: "fuser", Usage: "`ID` of the model on this machine that writes the answer of fuse"},
			&cli.DurationFlag{Name: "timeout", Usage: "wait no longer than this for a model, for example 90s"},
			&cli.Float64Flag{Name: "budget", Usage: "spend at most so many `USD`, all times together"},
			&cli.IntFlag{Name: "parallel", Usage: "ask `N` questions at once; 0 is 4 on this machine, 8 elsewhere"},
			&cli.IntFlag{Name: "expand", Usage: "have the best model vary each question up to `N` times, and ask these too"},
			&cli.BoolFlag{Name: "resume", Usage: "go on with the newest run over FILE"},
			&cli.BoolFlag{Name: "again", Usage: "ask even what the store has an answer to"},
			&cli.BoolFlag{Name: "list", Usage: "list the runs there are, and ask nothing"},
		},
	}, runDistill)
}

// distill is one time of work on a run.
type distill struct {
	*retort
	dir       string // of the run
	job       distillJob
	list      taskList
	limit     float64 // US dollars
	parallel  int
	opts      ensemble.Options
	members   []ensemble.Member
	ensembles map[string]*ensemble.Ensemble // by task type
	ledger    *ledger
	varied    *variations     // nil without --expand
	already   map[string]bool // by digest, what the store has an answer to and the ledger has not: true if this run put it there
	start     time.Time
	resumed   bool
}

func runDistill(ctx context.Context, c *cli.Context, r *retort) (err error) {
	if c.Bool("list") {
		return r.listDistill()
	}
	if err := checkDistill(c); err != nil {
		return err
	}
	d := &distill{retort: r, start: time.Now(), already: map[string]bool{}, ensembles: map[string]*ensemble.Ensemble{}}
	lock, err := d.open(ctx, c)
	defer func() { err = errors.Join(err, d.close(lock)) }()
	if err != nil {
		return err
	}
	return d.report(d.work(ctx))
}

func (d *distill) close(lock *os.File) error {
	err := d.varied.Close()
	if d.ledger != nil {
		err = errors.Join(err, d.ledger.Close())
	}
	if lock != nil {
		err = errors.Join(err, lock.Close())
	}
	return err
}

func checkDistill(c *cli.Context) error {
	if c.String("tasks") == "" {
		return usage("distill wants --tasks FILE").hint("a text file with a question on each line will do")
	}
	if t := c.String("task-type"); t != "" && !validTaskType(t) {
		return badTaskType(t)
	}
	if _, err := ensemble.ParseStrategy(c.String("strategy")); err != nil {
		return err
	}
	for _, name := range []string{"models", "samples", "max-tokens"} {
		if c.Int(name) < 1 {
			return usage("--%s wants 1 or more", name)
		}
	}
	if c.Int("parallel") < 0 || c.Int("expand") < 0 || c.Duration("timeout") < 0 {
		return usage("--parallel, --expand and --timeout want 0 or more")
	}
	if b := c.Float64("budget"); !(b >= 0) || math.IsInf(b, 0) {
		return usage("--budget wants 0 or more dollars")
	}
	if p := c.Float64("min-confidence"); !(p >= 0 && p <= 1) {
		return usage("--min-confidence wants 0 to 1")
	}
	sampling := llm.Sampling{Temperature: new(c.Float64("temperature"))}
	if err := (llm.Request{Messages: []llm.Message{llm.User("x")}, Sampling: sampling}).Validate(); err != nil {
		return usage("%v", err)
	}
	return nil
}

// bestMember is the member that is worth most.
func (d *distill) bestMember() ensemble.Member {
	return slices.MaxFunc(d.members, func(a, b ensemble.Member) int {
		switch {
		case a.Quality > b.Quality:
			return 1
		case a.Quality < b.Quality:
			return -1
		}
		return 0
	})
}
