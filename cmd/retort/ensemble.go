package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/ensemble"
	"retort/llm"
	"retort/models"
)

func (p *program) ensembleCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name: "ensemble", Aliases: []string{"ask"},
		Usage:     "ask several models and combine what they say",
		ArgsUsage: "[QUESTION]",
		Description: "The question is --input, the arguments, or standard input. A good answer is kept as a training\n" +
			"example. Exit status 3 means that the models did not agree (--strategy consensus).\n\n" +
			"  retort ensemble --input \"What is 2+2?\" --strategy consensus",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "input", Aliases: []string{"i"}, Usage: "the `QUESTION`"},
			&cli.StringFlag{Name: "system", Usage: "standing `INSTRUCTIONS` for the models"},
			&cli.IntFlag{Name: "models", Value: 3, Usage: "ask the `N` best models there are"},
			&cli.StringSliceFlag{Name: "members", Usage: "ask exactly these models (`ID,...`; ollama/NAME for one of Ollama's)"},
			&cli.IntFlag{Name: "samples", Value: 1, Usage: "draw `K` answers from each model"},
			&cli.StringFlag{Name: "strategy", Value: string(ensemble.BestOfN), Usage: "how to combine: best-of-n or consensus"},
			&cli.StringFlag{Name: "task-type", Value: "general", Usage: "what kind of `TASK` this is"},
			&cli.IntFlag{Name: "max-tokens", Value: 512, Usage: "longest answer, in tokens"},
			&cli.Float64Flag{Name: "temperature", Value: 0.7, Usage: "0 is the likeliest answer; higher is more varied"},
			&cli.Int64Flag{Name: "seed", Usage: "repeat the same draw"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this long, for example 90s"},
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
	if err := r.checkTaskType(ctx, c.String("task-type")); err != nil {
		return err
	}
	members, err := r.members(ctx, memberChoice{ids: c.StringSlice("members"), n: c.Int("models"), taskType: c.String("task-type")})
	if err != nil {
		return err
	}
	for i := range members {
		members[i].Samples = c.Int("samples")
	}
	if d := c.Duration("timeout"); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	e, err := ensemble.New(strategy, members...)
	if err != nil {
		return err
	}
	question := req.Messages[len(req.Messages)-1].Content
	r.printf("🎭 Querying %d top models...\n📝 Question: %s\n\n", len(members), question)
	outcome, queryErr := e.Query(ctx, req)
	if queryErr != nil && len(outcome.Candidates) == 0 {
		return queryErr
	}
	view := newOutcomeView(question, c.String("task-type"), outcome)
	if queryErr == nil && !c.Bool("no-keep") {
		if view.Example, err = r.collect(ctx, outcome, req, c.String("task-type")); err != nil {
			return err
		}
	}
	view.print(r)
	if err := r.object(view); err != nil {
		return err
	}
	return queryErr
}

func ensembleRequest(c *cli.Context, stdin io.Reader) (llm.Request, error) {
	if c.Int("models") < 1 || c.Int("samples") < 1 {
		return llm.Request{}, usage("--models and --samples want 1 or more")
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
		piped, err := io.ReadAll(stdin)
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

// outcomeView is what users see of an outcome; its JSON names are stable.
type outcomeView struct {
	Question   string         `json:"question"`
	Answer     string         `json:"answer"`
	Strategy   string         `json:"strategy"`
	TaskType   string         `json:"task_type"`
	Confidence float64        `json:"confidence"`
	Method     string         `json:"method"`
	Agreed     bool           `json:"models_agreed"`
	ModelsUsed []string       `json:"models_used"`
	AvgLatency float64        `json:"avg_latency_seconds"`
	TotalCost  float64        `json:"total_cost_usd"`
	Usage      llm.Usage      `json:"usage"`
	Members    []memberView   `json:"members"`
	Responses  []responseView `json:"responses"`
	Example    *collected     `json:"example,omitempty"`
}

type memberView struct {
	Model   string  `json:"model"`
	Answer  string  `json:"answer,omitempty"`
	Share   float64 `json:"share"`
	Samples int     `json:"samples"`
	Latency float64 `json:"latency_seconds"`
	Cost    float64 `json:"cost_usd"`
	Error   string  `json:"error,omitempty"`
}

type responseView struct {
	Model    string  `json:"model"`
	Response string  `json:"response"`
	Score    float64 `json:"score"`
	Latency  float64 `json:"latency_seconds"`
}

func newOutcomeView(question, taskType string, o ensemble.Outcome) outcomeView {
	v := outcomeView{Question: question, Answer: strings.TrimSpace(o.Answer), Strategy: string(o.Strategy), TaskType: taskType,
		Confidence: o.Confidence, Method: o.Method, Agreed: o.Agreed, Usage: o.Usage,
		AvgLatency: o.AverageLatency().Seconds(), TotalCost: o.CostUSD}
	for _, m := range o.Members {
		mv := memberView{Model: m.Model, Answer: strings.TrimSpace(m.Answer), Share: m.Share, Samples: m.Samples,
			Latency: m.Latency.Seconds(), Cost: m.CostUSD}
		if m.Err != nil {
			mv.Error = oneLine(m.Err)
		} else {
			v.ModelsUsed = append(v.ModelsUsed, m.Model)
		}
		v.Members = append(v.Members, mv)
	}
	for _, c := range o.Candidates {
		v.Responses = append(v.Responses, responseView{c.Model, strings.TrimSpace(c.Text), c.Score, c.Latency.Seconds()})
	}
	return v
}

func (v outcomeView) print(r *retort) {
	if v.Answer != "" {
		r.printf("%s\n\n", v.Answer)
	}
	r.printf("📊 Metadata:\n  Strategy: %s\n  Confidence: %.0f%% (%s)\n  Models used: %d (%s)\n  Avg latency: %.1fs\n  Total cost: $%.4f\n\n",
		v.Strategy, 100*v.Confidence, v.Method, len(v.ModelsUsed), strings.Join(v.ModelsUsed, ", "), v.AvgLatency, v.TotalCost)
	r.printf("🔍 All model responses:\n")
	for _, resp := range v.Responses {
		r.printf("  • %s: %s\n", resp.Model, firstLine(resp.Response, 100))
	}
	for _, m := range v.Members {
		if m.Error != "" {
			r.printf("  • %s failed: %s\n", m.Model, m.Error)
		}
	}
	if v.Example != nil {
		r.printf("\n%s\n", v.Example.line())
	}
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
		QualityScore: o.Confidence, TaskType: taskType, ModelsAgreed: o.Agreed && len(o.Members) > 1,
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

// termsOf is the terms class of an answer that all of these models gave: open
// only if each of them is known to be.
func (r *retort) termsOf(ids []string) string {
	for _, id := range ids {
		if terms, ok := remoteTerms(r.cfg, id); ok {
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
