package main

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/urfave/cli/v2"

	"retort/ensemble"
	"retort/llm"
)

// openModels opens members and helpers, and makes an ensemble for each task type.
func (d *distill) openModels(ctx context.Context, c *cli.Context) error {
	known, err := d.learnt(ctx)
	if err != nil {
		return err
	}
	d.remotes.retryIf, d.remotes.payOnce = isRefused, true // one question, one charge
	s := d.job.Settings
	ids := d.job.Members
	if len(ids) == 0 {
		ids = s.Members
	}
	choice := memberChoice{ids: ids, n: s.Models, taskType: cmp.Or(s.TaskType, "general"), skills: known.skills, priced: true}
	if d.members, err = d.retort.members(ctx, choice); err != nil {
		return err
	}
	if len(ids) == 0 {
		for _, m := range d.members {
			ids = append(ids, m.Model.ID())
		}
	}
	d.job.Members, choice.ids = ids, ids
	if err := d.setLimit(); err != nil {
		return err
	}
	d.setParallel(c.Int("parallel"))
	d.opts = ensemble.Options{CrossLikelihood: s.CrossLikelihood, Timeout: c.Duration("timeout"), MinConfidence: s.MinConfidence,
		AllVotes: true, Calibrate: known.calibrate()}
	if !math.IsInf(d.limit, 0) {
		d.opts.MaxCostUSD = max(d.limit, math.SmallestNonzeroFloat64)
	}
	if err := d.openHelpers(ctx); err != nil {
		return err
	}
	for _, t := range d.list.tasks {
		if d.ensembles[t.TaskType] != nil {
			continue
		}
		choice.taskType = t.TaskType
		if err := d.openEnsemble(ctx, t.TaskType, choice); err != nil {
			return err
		}
	}
	return nil
}

// openEnsemble makes the ensemble for a task type: the same members, of the worth
// that they have there.
func (d *distill) openEnsemble(ctx context.Context, taskType string, choice memberChoice) error {
	members, err := d.retort.members(ctx, choice)
	if err != nil {
		return err
	}
	for i := range members {
		members[i].Samples = d.job.Settings.Samples
	}
	d.members = members // alike but for their worth
	opts := d.opts
	opts.TaskType = taskType
	d.ensembles[taskType], err = opts.New(ensemble.Strategy(d.job.Settings.Strategy), members...)
	return err
}

// setLimit finds out what may be spent; where members cost something it must be
// known.
func (d *distill) setLimit() error {
	d.limit = math.Inf(1)
	if d.job.Budget != nil {
		d.limit = *d.job.Budget
		return nil
	}
	for _, m := range d.members {
		if m.Price != (ensemble.Price{}) {
			return usage("%s costs money", m.Model.ID()).hint("say with --budget USD how much may be spent")
		}
	}
	return nil
}

// What is asked at once without --parallel. Models on this machine share its
// memory and one scheduler.
const (
	parallelHere      = 4
	parallelElsewhere = 8
)

func (d *distill) setParallel(n int) {
	d.parallel = n
	if n > 0 {
		return
	}
	d.parallel = parallelElsewhere
	for _, m := range d.members {
		if isOnThisMachine(m.Model) {
			d.parallel = parallelHere
		}
	}
}

// openHelpers opens judges, fuser and embedder. Theirs must be costs that nobody
// asks for: how much they read is not known beforehand.
func (d *distill) openHelpers(ctx context.Context) error {
	s := d.job.Settings
	named := helperNames{judges: s.Judges, fuser: s.Fuser, embedder: s.Embedder}
	if err := d.helpers(ctx, named, d.members, &d.opts); err != nil {
		return err
	}
	all := append([]llm.Model(nil), d.opts.Judges...)
	if d.opts.Fuser != nil {
		all = append(all, d.opts.Fuser)
	}
	if s.Embedder != "" {
		all = append(all, d.opts.Embedder)
	}
	if s.Strategy == string(ensemble.Fuse) && s.Fuser == "" {
		all = append(all, d.bestMember().Model)
	}
	known, err := d.ranked("general", nil)
	if err != nil {
		return err
	}
	for _, m := range all {
		i := slices.IndexFunc(known, func(k rankedModel) bool { return k.id == registryID(m.ID()) })
		priced := i >= 0 && known[i].price != nil && *known[i].price != (ensemble.Price{})
		if priced || !isOnThisMachine(m) {
			return usage("what %s costs as a judge, fuser or embedder cannot be bounded", m.ID()).hint("name a model on this machine")
		}
	}
	return nil
}
