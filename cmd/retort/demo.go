package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"retort/dataset"
	"retort/ensemble"
	"retort/llm"
	"retort/models"
	"retort/trainer"
)

// The demo's recipe. Shots, calibration, balance and epochs were chosen on the
// unlabelled requests, the base (defaultBase) on others that are no longer here.
// The held-out requests were written after all that, and nothing was chosen by
// them.
const (
	demoSamples     = 8   // of each member for each request
	demoTemperature = 0.5 // of the draw
	demoCalibration = 96  // unlabelled requests that the members are calibrated on
	demoInFlight    = 4   // requests at once
	demoSeed        = 7
	demoEpochs      = 2 // over the kept examples, balanced by topic
)

// demoMembers are the two starter models, of different families, and which of
// the few-shot prefixes each is shown. The one that is slow to read is shown one.
var demoMembers = []struct {
	id       string
	prefixes []int
}{
	{"smollm2-135m-instruct", []int{0}},
	{"gemma-3-270m", []int{1, 2}},
}

func (p *program) demoCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name:  "demo",
		Usage: "run the whole loop once: label with an ensemble, keep, train, test, use",
		Description: "Two small models label what hotel guests say to the front desk. What they agree on is kept, and a\n" +
			"small model is trained on it that needs no examples in its prompt. Every figure is measured on\n" +
			"requests that no model was trained on. Exit status 3 means that the result did not pass its gate.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "`ID` for the trained model; without it hotel-desk, or hotel-desk-2 and so on"},
			&cli.StringFlag{Name: "model", Value: defaultBase, Usage: "`ID` of the model to train"},
			&cli.IntFlag{Name: "requests", Usage: "label only the first `N` requests; 0 is all"},
			&cli.IntFlag{Name: "questions", Usage: "measure on only the first `N` held-out requests; 0 is all"},
		},
	}, runDemo)
}

// demoView is the demo's result; its JSON names are stable.
type demoView struct {
	BaseAccuracy        float64            `json:"base_accuracy"`
	FewShotAccuracy     float64            `json:"few_shot_accuracy"`
	FewShotModel        string             `json:"few_shot_model"`
	MemberAccuracy      map[string]float64 `json:"member_accuracy"` // each member alone, choosing as it does in the ensemble
	EnsembleAccuracy    float64            `json:"ensemble_accuracy"`
	StudentAccuracy     float64            `json:"student_accuracy"`
	HeldOut             int                `json:"held_out"`
	Unlabelled          int                `json:"unlabelled"`
	Kept                int                `json:"kept"`
	KeptAccuracy        float64            `json:"kept_accuracy"`
	Dissent             int                `json:"dissent"`
	FewShotPromptTokens float64            `json:"few_shot_prompt_tokens"`
	StudentPromptTokens float64            `json:"student_prompt_tokens"`
	Seconds             map[string]float64 `json:"seconds"`
	Model               string             `json:"model"`
	Run                 string             `json:"run"`
	Gate                models.Gate        `json:"gate"`
	Promoted            bool               `json:"promoted"`
}

// demo is one run of the demo.
type demo struct {
	*retort
	data    demoData
	members []ensemble.Member
	view    demoView
}

func runDemo(ctx context.Context, c *cli.Context, r *retort) error {
	data, err := readDemo(c.Int("requests"), c.Int("questions"))
	if err != nil {
		return err
	}
	name, err := r.freeName(c.String("name"), demoTask)
	if err != nil {
		return err
	}
	d := &demo{retort: r, data: data, view: demoView{Seconds: map[string]float64{}, MemberAccuracy: map[string]float64{},
		HeldOut: len(data.heldOut), Unlabelled: len(data.unlabelled)}}
	start := time.Now()
	for _, stage := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"calibrate", d.calibrate},
		{"label", d.label},
		{"measure_teachers", d.measureTeachers},
		{"train", func(ctx context.Context) error { return d.train(ctx, name, c.String("model")) }},
	} {
		begun := time.Now()
		if err := stage.do(ctx); err != nil {
			return err
		}
		d.view.Seconds[stage.name] = time.Since(begun).Seconds()
	}
	d.view.Seconds["total"] = time.Since(start).Seconds()
	d.print()
	if err := r.object(d.view); err != nil {
		return err
	}
	if !d.view.Gate.Passed {
		return partial("the trained model did not pass its gate: %s", d.view.Gate.Reason)
	}
	return nil
}

// freeName is the name given, or the first of want, want-2, want-3 that no model
// has. It refuses one that a model has: what comes before the training takes long.
func (r *retort) freeName(given, want string) (string, error) {
	reg, err := r.registry()
	if err != nil {
		return "", err
	}
	if given != "" {
		if _, err := reg.Get(given); err == nil {
			return "", withHint(fmt.Errorf("model %q: %w", given, models.ErrExists), nameTakenHint)
		}
		return given, nil
	}
	name := want
	for n := 2; ; n++ {
		_, err := reg.Get(name)
		if errors.Is(err, models.ErrNotFound) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
		name = fmt.Sprintf("%s-%d", want, n)
	}
}

// demoRequest asks for the topic of one guest's request.
func demoRequest(text string) llm.Request {
	return llm.Request{Messages: []llm.Message{llm.User(text)},
		Sampling: llm.Sampling{Temperature: new(demoTemperature), Seed: new(int64(demoSeed))}}
}

// calibrate opens the members and takes off what each prefers whatever it is
// asked.
func (d *demo) calibrate(ctx context.Context) (err error) {
	var ids []string
	for _, m := range demoMembers {
		ids = append(ids, m.id)
	}
	d.members, err = d.retort.members(ctx, memberChoice{ids: ids, taskType: "classification"})
	if err != nil {
		return err
	}
	var batch []llm.Request
	for _, text := range firstN(d.data.unlabelled, demoCalibration) {
		batch = append(batch, demoRequest(text))
	}
	bar := d.bar("Calibrating two models", int64(len(d.members)*len(batch)), "request")
	defer bar.end(&err)
	for i, m := range d.members {
		m.Samples, m.Choices, m.Prefixes = demoSamples, d.data.topics, d.shown(i)
		d.members[i], err = m.Calibrate(ctx, batch, func(done, _ int) { bar.set(int64(i*len(batch) + done)) })
		if err != nil {
			return err
		}
	}
	return nil
}

// shown are the few-shot prefixes that member i is shown.
func (d *demo) shown(i int) [][]llm.Message {
	all := d.data.prefixes()
	var out [][]llm.Message
	for _, n := range demoMembers[i].prefixes {
		out = append(out, all[n])
	}
	return out
}

// label has the ensemble label every unlabelled request and keeps what the
// members agree on.
func (d *demo) label(ctx context.Context) (err error) {
	outcomes, err := d.askAll(ctx, "Labelling requests", ensemble.Consensus, d.data.unlabelled)
	if err != nil {
		return err
	}
	store, err := d.store()
	if err != nil {
		return err
	}
	var kept []dataset.Example
	right := 0
	for i, text := range d.data.unlabelled {
		ex, verdict := d.judge(outcomes[i], demoRequest(text), demoTask)
		if !verdict.Kept {
			d.showDissent(text, outcomes[i])
			continue
		}
		kept = append(kept, ex)
		if ex.Response == d.data.truth[text] {
			right++
		}
	}
	if _, err := store.Put(ctx, kept...); err != nil {
		return err
	}
	d.view.Kept, d.view.Dissent = len(kept), len(d.data.unlabelled)-len(kept)
	d.view.KeptAccuracy = float64(right) / float64(max(1, len(kept)))
	d.printf("💾 Kept %d of %d requests; on %d the models did not agree\n", d.view.Kept, d.view.Unlabelled, d.view.Dissent)
	return nil
}

// showDissent prints the first few requests that were not kept.
func (d *demo) showDissent(text string, o ensemble.Outcome) {
	const shown = 3
	if d.view.Dissent++; d.view.Dissent > shown {
		return
	}
	d.printf("   not kept: %q:", firstLine(text, 60))
	for _, m := range o.Members {
		d.printf(" %s says %s (%.0f %%)", m.Model, m.Answer, 100*m.Share)
	}
	d.printf("\n")
}

// askAll asks the ensemble every question, several at once. Where the members
// do not agree the outcome has no answer.
func (d *demo) askAll(ctx context.Context, title string, s ensemble.Strategy, questions []string) (out []ensemble.Outcome, err error) {
	e, err := ensemble.New(s, d.members...)
	if err != nil {
		return nil, err
	}
	bar := d.bar(title, int64(len(questions)), "request")
	defer bar.end(&err)
	out = make([]ensemble.Outcome, len(questions))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(demoInFlight)
	var mu sync.Mutex
	for i, q := range questions {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() error {
			o, err := e.Query(gctx, demoRequest(q))
			if err != nil && !errors.Is(err, ensemble.ErrNoConsensus) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			out[i] = o
			bar.add(1)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return out, ctx.Err() // cancelled before all were asked
}

// measureTeachers asks the ensemble, and each member alone with examples in its
// prompt, the held-out requests.
func (d *demo) measureTeachers(ctx context.Context) error {
	questions := make([]string, len(d.data.heldOut))
	for i, it := range d.data.heldOut {
		questions[i] = it.Input
	}
	outcomes, err := d.askAll(ctx, "Asking the ensemble the held-out requests", ensemble.Weighted, questions)
	if err != nil {
		return err
	}
	d.view.EnsembleAccuracy = d.rightShare(outcomes, func(o ensemble.Outcome) string { return o.Answer })
	for i, m := range demoMembers {
		d.view.MemberAccuracy[m.id] = d.rightShare(outcomes, func(o ensemble.Outcome) string { return o.Members[i].Answer })
	}
	for i, m := range demoMembers {
		prefix := d.shown(i)[0]
		rep, err := d.evaluate(ctx, m.id, d.data.heldOut, trainer.EvalOptions{MaxOutputTokens: 8,
			Prompt: func(it trainer.Item) []llm.Message {
				return append(prefix[:len(prefix):len(prefix)], it.Prompt()...)
			}})
		if err != nil {
			return err
		}
		if rep.Accuracy >= d.view.FewShotAccuracy {
			d.view.FewShotAccuracy, d.view.FewShotModel, d.view.FewShotPromptTokens = rep.Accuracy, m.id, rep.MeanInputTokens()
		}
	}
	return nil
}

// rightShare is the share of the outcomes on the held-out requests whose answer
// is right.
func (d *demo) rightShare(outcomes []ensemble.Outcome, answer func(ensemble.Outcome) string) float64 {
	right := 0
	for i, o := range outcomes {
		if answer(o) == d.data.heldOut[i].Answer {
			right++
		}
	}
	return float64(right) / float64(max(1, len(outcomes)))
}

// bestMember is the member that is right most often by itself.
func (v demoView) bestMember() (id string, accuracy float64) {
	for _, m := range demoMembers {
		if a := v.MemberAccuracy[m.id]; id == "" || a > accuracy {
			id, accuracy = m.id, a
		}
	}
	return id, accuracy
}

// train makes the student and tests it against the model that it was trained
// from.
func (d *demo) train(ctx context.Context, name, base string) error {
	if err := d.closeModels(); err != nil {
		return err
	}
	var examples []dataset.Example
	store, err := d.store()
	if err != nil {
		return err
	}
	for ex, err := range store.All(ctx, dataset.Filter{TaskType: demoTask, Split: dataset.SplitTrain}) {
		if err != nil {
			return err
		}
		examples = append(examples, ex)
	}
	hyper := trainer.DefaultHyper(trainer.DetectProfile())
	hyper.Train.Epochs = demoEpochs
	out, err := d.finetune(ctx, trainer.Options{Base: base, ID: name, TaskType: demoTask, Hyper: hyper,
		Examples: sequence(dataset.Balance(examples)),
		HeldOut:  d.data.heldOut, Against: base, MaxOutputTokens: 8, Threads: d.cfg.Int("threads"), Promote: true})
	if err != nil {
		return err
	}
	v := &d.view
	v.Model, v.Run, v.Gate, v.Promoted = out.Model, out.Run, out.Gate, out.Promoted
	v.BaseAccuracy, v.StudentAccuracy = out.Reference.Accuracy, out.Candidate.Accuracy
	v.StudentPromptTokens = out.Candidate.MeanInputTokens()
	for stage, s := range out.Result.Seconds {
		if stage != "total" {
			v.Seconds["train_"+stage] = s
		}
	}
	return nil
}

func (d *demo) print() {
	v := d.view
	d.printf("\n")
	bestID, best := v.bestMember()
	d.table([][]string{
		{"", "RIGHT", "PROMPT TOKENS"},
		{"base, asked plainly", percent(v.BaseAccuracy), fmt.Sprintf("%.0f", v.StudentPromptTokens)},
		{"best member, examples in its prompt, writing freely", percent(v.FewShotAccuracy), fmt.Sprintf("%.0f", v.FewShotPromptTokens)},
		{"best member (" + bestID + "), choosing among the topics", percent(best), ""},
		{"ensemble of both, weighted", percent(v.EnsembleAccuracy), ""},
		{"your model (" + v.Model + ")", percent(v.StudentAccuracy), fmt.Sprintf("%.0f", v.StudentPromptTokens)},
	})
	d.printf("\nOn %d held-out requests. Kept for training: %d of %d, %s of them right.\nGate: %s\n",
		v.HeldOut, v.Kept, v.Unlabelled, percent(v.KeptAccuracy), v.Gate.Reason)
	if v.Promoted {
		d.printf("%s is in use now; `retort models rollback` undoes that.\n", v.Model)
	}
	d.printf("Took %s.\n", seconds(time.Duration(v.Seconds["total"]*float64(time.Second))))
}
