package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/ensemble"
	"retort/ensemble/routing"
	"retort/llm"
	"retort/models"
)

func (p *program) ensembleCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name: "ensemble", Aliases: []string{"ask"},
		Usage:     "ask several models and combine what they say",
		ArgsUsage: "[QUESTION]",
		Description: "The question is --input, the arguments, or standard input. A good answer is kept as a training\n" +
			"example. Exit status 3 means that there is no answer: the models did not agree (--strategy consensus),\n" +
			"or are less sure than --min-confidence.\n\nStrategies:\n" + strategyHelp() + "\n" +
			"  retort ensemble --input \"What is 2+2?\" --strategy consensus",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "input", Aliases: []string{"i"}, Usage: "the `QUESTION`"},
			&cli.StringFlag{Name: "system", Usage: "standing `INSTRUCTIONS` for the models"},
			&cli.IntFlag{Name: "models", Value: 3, Usage: "ask the `N` best models there are"},
			&cli.StringSliceFlag{Name: "members", Usage: "ask exactly these models (`ID,...`; ollama/NAME for one of Ollama's)"},
			&cli.IntFlag{Name: "samples", Value: 1, Usage: "draw `K` answers from each model"},
			&cli.StringFlag{Name: "strategy", Value: string(ensemble.BestOfN), Usage: "how to combine, see above"},
			&cli.StringFlag{Name: "task-type", Usage: "what kind of `TASK` this is: reasoning, code, creative, general or one of yours; found out if not given"},
			&cli.IntFlag{Name: "max-tokens", Value: 512, Usage: "longest answer, in tokens"},
			&cli.Float64Flag{Name: "temperature", Value: 0.7, Usage: "0 is the likeliest answer; higher is more varied"},
			&cli.Int64Flag{Name: "seed", Usage: "repeat the same draw"},
			&cli.StringSliceFlag{Name: "judges", Usage: "models that compare the answers (`ID,...`; best-of-n)"},
			&cli.BoolFlag{Name: "cross-likelihood", Usage: "let local models score each other's answers (best-of-n)"},
			&cli.StringFlag{Name: "embedder", Usage: "`ID` of a model that tells which answers mean the same"},
			&cli.StringFlag{Name: "fuser", Usage: "`ID` of the model that writes the answer of fuse; without it the best member"},
			&cli.Float64Flag{Name: "max-cost", Usage: "spend at most so many `USD`; models that could go beyond it are left out"},
			&cli.Float64Flag{Name: "min-confidence", Usage: "below this, from 0 to 1, ask on (cascade) or say that the answer is not known"},
			&cli.DurationFlag{Name: "timeout", Usage: "wait no longer than this for a model, for example 90s; those that answered decide"},
			&cli.BoolFlag{Name: "fast", Usage: "stop when the votes decide; those not waited for make the answer less sure"},
			&cli.BoolFlag{Name: "no-keep", Usage: "do not keep the answer as an example"},
		},
	}, runEnsemble)
}

func runEnsemble(ctx context.Context, c *cli.Context, r *retort) error {
	strategy, err := ensemble.ParseStrategy(c.String("strategy"))
	if err != nil {
		return err
	}
	req, err := ensembleRequest(c, r.p.stdin)
	if err != nil {
		return err
	}
	taskType := c.String("task-type")
	if taskType == "" {
		taskType = routing.Classify(req.Messages)
	} else if err := r.checkTaskType(ctx, taskType); err != nil {
		return err
	}
	e, n, err := r.ensemble(ctx, c, strategy, taskType)
	if err != nil {
		return err
	}
	question := req.Messages[len(req.Messages)-1].Content
	r.printf("🎭 Querying %d top models...\n📝 Question: %s\n\n", n, question)
	outcome, queryErr := e.Query(ctx, req)
	if queryErr != nil && len(outcome.Candidates) == 0 {
		return queryErr
	}
	view := newOutcomeView(question, outcome)
	keepErr := r.record(ctx, &view, outcome, req, queryErr == nil && !c.Bool("no-keep"))
	view.print(r) // even where it could not be kept: it was paid for
	return errors.Join(r.object(view), queryErr, keepErr)
}

// record keeps the answer, if that is wanted, and logs the query.
func (r *retort) record(ctx context.Context, view *outcomeView, o ensemble.Outcome, req llm.Request, keep bool) error {
	log := queryOf(o, "ensemble")
	if keep {
		kept, err := r.collect(ctx, o, req, o.TaskType)
		if err != nil {
			return err
		}
		view.Example, log.ExampleID = kept, kept.ID
	}
	return r.logQuery(ctx, log)
}

// ensemble opens the members, judges and other helpers that the flags name, and
// says how many members there are.
func (r *retort) ensemble(ctx context.Context, c *cli.Context, strategy ensemble.Strategy, taskType string) (*ensemble.Ensemble, int, error) {
	known, err := r.learnt(ctx)
	if err != nil {
		return nil, 0, err
	}
	if c.IsSet("max-cost") { // one question, one charge
		r.remotes.retryIf, r.remotes.payOnce = isRefused, true
	}
	members, err := r.members(ctx, memberChoice{ids: c.StringSlice("members"), n: c.Int("models"), taskType: taskType, skills: known.skills,
		priced: c.IsSet("max-cost")})
	if err != nil {
		return nil, 0, err
	}
	opts := ensemble.Options{TaskType: taskType, CrossLikelihood: c.Bool("cross-likelihood"), Timeout: c.Duration("timeout"),
		MaxCostUSD: c.Float64("max-cost"), MinConfidence: c.Float64("min-confidence"), AllVotes: !c.Bool("fast"), Calibrate: known.calibrate()}
	for i := range members {
		members[i].Samples = c.Int("samples")
	}
	named := helperNames{judges: c.StringSlice("judges"), fuser: c.String("fuser"), embedder: c.String("embedder")}
	if err := r.helpers(ctx, named, members, &opts); err != nil {
		return nil, 0, err
	}
	e, err := opts.New(strategy, members...)
	return e, len(members), err
}

// helperNames are the IDs of the models that help an ensemble; "" is none.
type helperNames struct {
	judges          []string
	fuser, embedder string
}

// helpers opens the models of these names for opts; without an embedder named, the
// first member that can embeds.
func (r *retort) helpers(ctx context.Context, named helperNames, members []ensemble.Member, opts *ensemble.Options) (err error) {
	for i := range members {
		if opts.Embedder == nil {
			opts.Embedder, _ = llm.As[llm.Embedder](members[i].Model)
		}
	}
	for _, id := range named.judges {
		m, err := r.model(ctx, id)
		if err != nil {
			return err
		}
		opts.Judges = append(opts.Judges, m)
	}
	if named.fuser != "" {
		if opts.Fuser, err = r.model(ctx, named.fuser); err != nil {
			return err
		}
	}
	if named.embedder == "" {
		return nil
	}
	m, err := r.model(ctx, named.embedder)
	if err != nil {
		return err
	}
	var ok bool
	if opts.Embedder, ok = llm.As[llm.Embedder](m); !ok {
		return usage("model %q gives no embeddings", named.embedder)
	}
	return nil
}

// logQuery adds to the log of queries.
func (r *retort) logQuery(ctx context.Context, q dataset.Query) error {
	store, err := r.store()
	if err != nil {
		return err
	}
	return store.PutQueries(ctx, q)
}

// strategyHelp is a line for each strategy.
func strategyHelp() string {
	text := ""
	for _, s := range ensemble.Strategies() {
		text += fmt.Sprintf("  %-15s %s\n", s, s.Help())
	}
	return text
}

func ensembleRequest(c *cli.Context, stdin io.Reader) (llm.Request, error) {
	if c.Int("models") < 1 || c.Int("samples") < 1 {
		return llm.Request{}, usage("--models and --samples want 1 or more")
	}
	if p := c.Float64("min-confidence"); !(p >= 0 && p <= 1) || c.Float64("max-cost") < 0 || c.Duration("timeout") < 0 {
		return llm.Request{}, usage("--min-confidence wants 0 to 1, --max-cost and --timeout 0 or more")
	}
	question, err := question(c, stdin)
	if err != nil {
		return llm.Request{}, err
	}
	req := llm.Request{Sampling: llm.Sampling{Temperature: new(c.Float64("temperature")), MaxOutputTokens: c.Int("max-tokens")}}
	if c.IsSet("seed") {
		req.Sampling.Seed = new(c.Int64("seed"))
	}
	if s := c.String("system"); s != "" {
		req.Messages = append(req.Messages, llm.System(s))
	}
	req.Messages = append(req.Messages, llm.User(question))
	if err := req.Validate(); err != nil {
		return llm.Request{}, usage("%v", err)
	}
	return req, nil
}

// question is --input, else the arguments, else what is piped in.
func question(c *cli.Context, stdin io.Reader) (string, error) {
	text := c.String("input")
	if text == "" {
		text = strings.Join(c.Args().Slice(), " ")
	}
	if f, ok := stdin.(*os.File); text == "" && (!ok || !isTerminal(f)) {
		piped, err := io.ReadAll(interruptible(c.Context, stdin))
		if err != nil {
			return "", fmt.Errorf("read standard input: %w", err)
		}
		text = string(piped)
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", usage("no question").hint("retort ensemble --input \"your question\"")
	}
	return text, nil
}

// collected says what became of an answer as training data.
type collected struct {
	ID      string  `json:"id,omitempty"`
	Kept    bool    `json:"kept"`
	Quality float64 `json:"quality_score"`
	Reason  string  `json:"reason"`
}

func (k collected) line() string {
	if k.Kept {
		return fmt.Sprintf("💾 Kept as example %s (quality %.2f)", shortID(k.ID), k.Quality)
	}
	return "Not kept as an example: " + k.Reason
}

// judge makes an example of an outcome and says whether it may be kept: the
// answer is whole and not empty, and the owner's policy takes it. The example is
// complete only if it may.
func (r *retort) judge(o ensemble.Outcome, req llm.Request, taskType string) (dataset.Example, collected) {
	if strings.TrimSpace(o.Answer) == "" {
		return dataset.Example{}, collected{Reason: "the answer is empty"}
	}
	if o.FinishReason != llm.FinishStop {
		return dataset.Example{}, collected{Reason: fmt.Sprintf("the answer did not come to its end (%s)", o.FinishReason)}
	}
	ex := r.exampleOf(o, req, taskType)
	verdict := r.policy().Judge(ex)
	k := collected{Kept: verdict.Keep, Quality: verdict.Score, Reason: verdict.Reason}
	if verdict.Keep {
		ex = dataset.Identify(r.scored(ex))
		k.ID = ex.ID
	}
	return ex, k
}

// collect keeps the outcome as an example if it may be kept.
func (r *retort) collect(ctx context.Context, o ensemble.Outcome, req llm.Request, taskType string) (*collected, error) {
	ex, k := r.judge(o, req, taskType)
	if !k.Kept {
		return &k, nil
	}
	store, err := r.store()
	if err != nil {
		return nil, err
	}
	_, err = store.Put(ctx, ex)
	return &k, err
}

// scored gives ex the quality that the owner's policy makes of its first one,
// and keeps that one for later ratings.
func (r *retort) scored(ex dataset.Example) dataset.Example {
	ex.BaseQuality = new(ex.QualityScore)
	ex.QualityScore = r.policy().Score(ex)
	return ex
}

// exampleOf is the joint between an ensemble's outcome and the data store.
func (r *retort) exampleOf(o ensemble.Outcome, req llm.Request, taskType string) dataset.Example {
	ex := dataset.Example{
		Messages: req.Messages, Response: strings.TrimSpace(o.Answer),
		QualityScore: o.Confidence, TaskType: taskType, ModelsAgreed: o.Agreed && heard(o) > 1,
		Source: dataset.Source{Kind: "ensemble", Models: o.Models(), Strategy: string(o.Strategy),
			Seed: req.Sampling.Seed, Terms: r.termsOf(o.Models()), CostUSD: o.CostUSD},
	}
	for _, c := range o.Candidates {
		ex.Candidates = append(ex.Candidates, dataset.Candidate{Model: c.Model, Response: strings.TrimSpace(c.Text), Score: c.Score})
	}
	for _, m := range o.Members {
		if m.Err != nil {
			ex.Candidates = append(ex.Candidates, dataset.Candidate{Model: m.Model, Error: oneLine(m.Err)})
		}
	}
	return ex
}

// heard is how many members answered.
func heard(o ensemble.Outcome) (n int) {
	for _, m := range o.Members {
		if m.Samples > 0 {
			n++
		}
	}
	return n
}

// termsOf is the terms class of an answer that all of these models gave: open
// only if each of them is known to be.
func (r *retort) termsOf(ids []string) string {
	for _, id := range ids {
		if terms, ok := r.remoteTerms(id); ok {
			if terms != models.TermsOpen {
				return models.TermsRestricted
			}
			continue
		}
		open := slices.ContainsFunc(models.Catalogue(), func(e models.Entry) bool {
			return e.ID == registryID(id) && e.Terms == models.TermsOpen
		})
		if !open {
			return models.TermsRestricted
		}
	}
	return models.TermsOpen
}

// shortID is enough of an example's ID to find it again by.
func shortID(id string) string {
	hex := strings.TrimPrefix(id, "sha256:")
	return hex[:min(12, len(hex))]
}
