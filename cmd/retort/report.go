package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/models"
)

func (p *program) reportCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name:  "report",
		Usage: "sum up what was asked, what it took, and when your own model pays",
		Description: "Sums are of the log of queries (`retort ensemble`), by day, model and task type. Quality is from your\n" +
			"ratings. A trained model is paid for when what it saved against the ensemble is as much as the\n" +
			"questions cost that it learnt from, and its training (--training-cost).",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "days", Usage: "only the last `N` days; 0 is all"},
			&cli.Float64Flag{Name: "training-cost", Usage: "what training one model cost, in `USD`"},
		},
	}, runReport)
}

// reportView is what users see of a report; its JSON names are stable.
type reportView struct {
	Queries     int           `json:"queries"`
	CostUSD     float64       `json:"cost_usd"`
	Days        []sumView     `json:"days"`
	Models      []sumView     `json:"models"`
	TaskTypes   []sumView     `json:"task_types"`
	Performance []performance `json:"performance"`
	BreakEven   []breakEven   `json:"break_even"`
}

// sumView adds up queries, or what one model did in them.
type sumView struct {
	Name         string  `json:"name"`
	Queries      int     `json:"queries"`
	Answered     int     `json:"answered"`
	InputTokens  int     `json:"input_tokens"`
	OutputTokens int     `json:"output_tokens"`
	CostUSD      float64 `json:"cost_usd"`
	MeanSeconds  float64 `json:"mean_seconds"`
}

func runReport(ctx context.Context, c *cli.Context, r *retort) error {
	if c.Int("days") < 0 || c.Float64("training-cost") < 0 {
		return usage("--days and --training-cost want 0 or more")
	}
	log, stars, err := r.queryLog(ctx)
	if err != nil {
		return err
	}
	own, err := r.ownModels()
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	v := reportView{BreakEven: []breakEven{}}
	for _, m := range own {
		v.BreakEven = append(v.BreakEven, breakEvenOf(m, log, c.Float64("training-cost"), now))
	}
	if n := c.Int("days"); n > 0 {
		log = slices.DeleteFunc(log, func(q dataset.Query) bool { return q.At.Before(now.AddDate(0, 0, -n)) })
	}
	v.sum(log)
	v.Performance = performanceOf(log, stars, own)
	v.print(r)
	return r.object(v)
}

// queryLog is the log of what was really asked, and the owner's ratings.
func (r *retort) queryLog(ctx context.Context) ([]dataset.Query, map[string]int, error) {
	if _, err := os.Stat(r.path("store")); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	store, err := r.store()
	if err != nil {
		return nil, nil, err
	}
	log, err := allQueries(ctx, store)
	if err != nil {
		return nil, nil, err
	}
	log = slices.DeleteFunc(log, func(q dataset.Query) bool { return q.Kind != "ensemble" })
	stars, err := ratings(ctx, store, log)
	return log, stars, err
}

// ownModels are the models that were trained here.
func (r *retort) ownModels() ([]models.Manifest, error) {
	reg, err := r.registry()
	if err != nil {
		return nil, err
	}
	list, err := reg.List()
	return slices.DeleteFunc(list, func(m models.Manifest) bool { return m.Kind == models.KindBase }), err
}

// sum fills in what only needs adding up.
func (v *reportView) sum(log []dataset.Query) {
	days, byModel, tasks := map[string]*sumView{}, map[string]*sumView{}, map[string]*sumView{}
	for _, q := range log {
		v.Queries++
		v.CostUSD += q.CostUSD
		in, out := 0, 0
		for _, m := range q.Members {
			in, out = in+m.InputTokens, out+m.OutputTokens
			if !m.Skipped || m.Samples > 0 {
				entry(byModel, m.Model).add(m.Answered, m.InputTokens, m.OutputTokens, m.CostUSD, m.Seconds)
			}
		}
		entry(days, q.At.Format(time.DateOnly)).add(q.Answered, in, out, q.CostUSD, q.Seconds)
		entry(tasks, q.TaskType).add(q.Answered, in, out, q.CostUSD, q.Seconds)
	}
	v.Days, v.Models, v.TaskTypes = sums(days), sums(byModel), sums(tasks)
}

func entry(all map[string]*sumView, name string) *sumView {
	if all[name] == nil {
		all[name] = &sumView{Name: name}
	}
	return all[name]
}

func (s *sumView) add(answered bool, in, out int, cost, seconds float64) {
	s.MeanSeconds = (s.MeanSeconds*float64(s.Queries) + seconds) / float64(s.Queries+1)
	s.Queries++
	if answered {
		s.Answered++
	}
	s.InputTokens += in
	s.OutputTokens += out
	s.CostUSD += cost
}

func sums(all map[string]*sumView) []sumView {
	out := []sumView{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, *all[name])
	}
	return out
}

// performance is a row of the table that compares ways of answering.
type performance struct {
	Way           string   `json:"way"` // "single model", "ensemble" or "your model"
	Queries       int      `json:"queries"`
	Rated         int      `json:"rated"`
	Quality       *float64 `json:"quality"` // 0 to 10, by your ratings; null without any
	CostPer1K     *float64 `json:"cost_per_1k_tokens"`
	Seconds       float64  `json:"seconds"`
	Reliability   float64  `json:"reliability"` // share that answered
	Customization string   `json:"customization"`
	Independence  bool     `json:"independence"` // no model of it is a remote service

	answered, tokens int
	worth, cost      float64
}

func performanceOf(log []dataset.Query, stars map[string]int, own []models.Manifest) []performance {
	single := performance{Way: "single model", Customization: "low", Independence: true}
	ensemble := performance{Way: "ensemble", Customization: "low", Independence: true}
	yours := performance{Way: "your model", Customization: "high", Independence: true}
	for _, q := range log {
		rated := starsOf(q, stars)
		tokens, members, local := 0, 0, true
		for _, m := range q.Members {
			if m.Skipped && m.Samples == 0 {
				continue
			}
			way := &single
			if isOwn(own, m.Model) {
				way = &yours
			}
			members++
			tokens += m.InputTokens + m.OutputTokens
			local = local && isLocal(m.Model)
			way.add(m.Answered, m.InputTokens+m.OutputTokens, m.CostUSD, m.Seconds, isLocal(m.Model))
			if rated > 0 && m.Answered && (m.Backed || rated >= 4) { // differing from a bad answer tells nothing
				way.rate(map[bool]int{true: rated, false: 1}[m.Backed])
			}
		}
		if members > 1 {
			ensemble.add(q.Answered, tokens, q.CostUSD, q.Seconds, local)
			if rated > 0 {
				ensemble.rate(rated)
			}
		}
	}
	var out []performance
	for _, p := range []performance{single, ensemble, yours} {
		if p.Queries > 0 {
			out = append(out, p.finish())
		}
	}
	return out
}

func isOwn(own []models.Manifest, id string) bool {
	return slices.ContainsFunc(own, func(m models.Manifest) bool { return m.ID == registryID(id) })
}

func isLocal(id string) bool {
	return strings.HasPrefix(id, enginePrefix) || strings.HasPrefix(id, "ollama/")
}

func (p *performance) add(answered bool, tokens int, cost, seconds float64, local bool) {
	p.Seconds = (p.Seconds*float64(p.Queries) + seconds) / float64(p.Queries+1)
	p.Queries++
	if answered {
		p.answered++
	}
	p.tokens += tokens
	p.cost += cost
	p.Independence = p.Independence && local
}

func (p *performance) rate(stars int) {
	p.Rated++
	p.worth += float64(stars-1) / 4
}

func (p performance) finish() performance {
	p.Reliability = float64(p.answered) / float64(p.Queries)
	if p.Rated > 0 {
		p.Quality = new(10 * p.worth / float64(p.Rated))
	}
	if p.tokens > 0 {
		p.CostPer1K = new(1000 * p.cost / float64(p.tokens))
	}
	return p
}

// breakEven says whether and when a trained model has paid for itself.
type breakEven struct {
	Model    string     `json:"model"`
	TaskType string     `json:"task_type"`
	Invested float64    `json:"invested_usd"`        // questions it learnt from, and training
	PerQuery float64    `json:"saved_usd_per_query"` // against the ensemble on this task type
	Queries  int        `json:"queries"`             // that it answered alone
	Saved    float64    `json:"saved_usd"`
	Date     *time.Time `json:"date"` // when Saved is, or will be, Invested; null: not in sight
	Reason   string     `json:"reason"`
}

func breakEvenOf(m models.Manifest, log []dataset.Query, training float64, now time.Time) breakEven {
	b := breakEven{Model: m.ID, TaskType: m.TaskType, Invested: training}
	var dear, cheap, n float64 // cost of ensembles, cost of the model, number of ensembles
	var served []dataset.Query
	for _, q := range log {
		if q.TaskType != m.TaskType {
			continue
		}
		if alone(q) == m.ID {
			served = append(served, q)
			cheap += q.CostUSD
			continue
		}
		dear, n = dear+q.CostUSD, n+1
		if q.ExampleID != "" && q.At.Before(m.CreatedAt) {
			b.Invested += q.CostUSD
		}
	}
	b.Queries = len(served)
	if n == 0 || len(served) == 0 {
		b.Reason = "nothing to compare yet: it takes questions of this task type to an ensemble, and to the model alone"
		return b
	}
	b.PerQuery = dear/n - cheap/float64(len(served))
	b.Saved = b.PerQuery * float64(len(served))
	days := max(now.Sub(served[0].At).Hours()/24, 1)
	switch {
	case b.Saved >= b.Invested:
		paid := 0
		if b.PerQuery > 0 {
			paid = min(int(b.Invested/b.PerQuery), len(served)-1)
		}
		b.Date, b.Reason = new(served[paid].At), "paid for"
	case b.PerQuery <= 0:
		b.Reason = "it saves nothing against the ensemble"
	default:
		left := (b.Invested - b.Saved) / (b.Saved / days)
		b.Date, b.Reason = new(now.AddDate(0, 0, int(min(left, 36500))+1)), fmt.Sprintf("at %.1f questions a day", float64(len(served))/days)
	}
	return b
}

// alone is the registry's ID of the one model that answered q, or "".
func alone(q dataset.Query) string {
	id := ""
	for _, m := range q.Members {
		if m.Answered && id != "" {
			return ""
		}
		if m.Answered {
			id = registryID(m.Model)
		}
	}
	return id
}

func (v reportView) print(r *retort) {
	if v.Queries == 0 {
		r.printf("Nothing was asked yet.\n")
		return
	}
	r.printf("%d questions, $%.4f\n", v.Queries, v.CostUSD)
	for _, part := range []struct {
		title string
		sums  []sumView
	}{{"DAY", v.Days}, {"MODEL", v.Models}, {"TASK", v.TaskTypes}} {
		rows := [][]string{{part.title, "ASKED", "ANSWERED", "TOKENS IN", "TOKENS OUT", "COST", "MEAN TIME"}}
		for _, s := range part.sums {
			rows = append(rows, []string{s.Name, fmt.Sprint(s.Queries), fmt.Sprint(s.Answered), fmt.Sprint(s.InputTokens),
				fmt.Sprint(s.OutputTokens), fmt.Sprintf("$%.4f", s.CostUSD), fmt.Sprintf("%.1fs", s.MeanSeconds)})
		}
		r.printf("\n")
		r.table(rows)
	}
	rows := [][]string{{"", "QUALITY", "COST/1K", "SPEED", "RELIABILITY", "CUSTOMIZATION", "INDEPENDENCE"}}
	for _, p := range v.Performance {
		quality := "not rated"
		if p.Quality != nil {
			quality = fmt.Sprintf("%.1f/10 (%d rated)", *p.Quality, p.Rated)
		}
		cost := "not known"
		if p.CostPer1K != nil {
			cost = fmt.Sprintf("$%.4f", *p.CostPer1K)
		}
		rows = append(rows, []string{p.Way, quality, cost, fmt.Sprintf("%.1fs", p.Seconds), percent(p.Reliability),
			p.Customization, map[bool]string{true: "yes", false: "no"}[p.Independence]})
	}
	r.printf("\n")
	r.table(rows)
	for _, b := range v.BreakEven {
		r.printf("\n%s (%s): $%.4f invested, $%.4f saved over %d questions; %s%s\n", b.Model, cmp.Or(b.TaskType, "no task type"),
			b.Invested, b.Saved, b.Queries, b.Reason, dateWord(b.Date))
	}
}

func dateWord(t *time.Time) string {
	if t == nil {
		return ""
	}
	return ", break-even on " + t.Format(time.DateOnly)
}
