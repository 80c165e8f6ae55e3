package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// distillView is the report of a run; its JSON names are stable. All counts are of
// the whole run but Seconds, which is of this time.
type distillView struct {
	Run        string         `json:"run"`
	Folder     string         `json:"folder"`
	Tasks      int            `json:"tasks"`      // different questions in the file
	Variations int            `json:"variations"` // of these
	Answered   int            `json:"answered"`
	Kept       int            `json:"kept"`
	NotKept    map[string]int `json:"not_kept"` // answered, by why it was not kept
	Already    int            `json:"already"`  // the store had an answer
	Failed     int            `json:"failed"`   // nobody answered; --resume asks again
	Left       int            `json:"left"`     // not asked yet, or not to the end
	Unvaried   int            `json:"unvaried"` // questions that --expand has not come to
	Dropped    map[string]int `json:"dropped"`  // variations that were not worth asking, by why
	Duplicates int            `json:"duplicates"`
	BadLines   []string       `json:"bad_lines"`
	CostUSD    float64        `json:"cost_usd"`     // what is known to be spent
	Reserved   float64        `json:"reserved_usd"` // what may be besides: for questions that were cut off
	Budget     *float64       `json:"budget_usd"`
	Seconds    float64        `json:"seconds"`
	Stopped    string         `json:"stopped,omitempty"` // why something is left
}

func (d *distill) view(stop error) distillView {
	v := distillView{Run: d.job.ID, Folder: d.dir, Tasks: len(d.list.tasks), NotKept: map[string]int{}, Dropped: map[string]int{},
		Duplicates: d.list.duplicates, BadLines: []string{}, CostUSD: dollarsAndCents(d.ledger.spent),
		Reserved: dollarsAndCents(d.ledger.lost + d.ledger.reserved()), Budget: d.job.Budget, Seconds: time.Since(d.start).Seconds()}
	for _, b := range d.list.bad {
		v.BadLines = append(v.BadLines, fmt.Sprintf("line %d: %s", b.Line, b.Reason))
	}
	all := d.list.tasks
	if d.varied != nil {
		maps.Copy(v.Dropped, d.varied.drops)
		for _, t := range d.list.tasks {
			more := d.varied.tasksOf(t)
			v.Variations += len(more)
			all = append(all[:len(all):len(all)], more...)
			if _, done := d.varied.seeds[t.Digest]; !done {
				v.Unvaried++
			}
		}
	}
	for _, t := range all {
		v.count(d, t)
	}
	if stop != nil {
		v.Stopped = oneLine(stop)
	}
	return v
}

func (v *distillView) count(d *distill, t task) {
	e, tried := d.ledger.closed[stepAsk+" "+t.Digest]
	ours, held := d.already[t.Digest]
	switch {
	case ours || tried && e.Result == resultKept:
		v.Answered++
		v.Kept++
	case tried && e.Result == resultNotKept:
		v.Answered++
		v.NotKept[e.Reason]++
	case held:
		v.Already++
	case tried:
		v.Failed++
	default:
		v.Left++
	}
}

// dollarsAndCents takes off what adding up fractions leaves behind.
func dollarsAndCents(usd float64) float64 { return math.Round(usd*1e9) / 1e9 }

// report tells what came of the run, and returns what the program ends with.
func (d *distill) report(stop error) error {
	v := d.view(stop)
	saved := writeJSON(filepath.Join(d.dir, resultFile), v)
	v.print(d.retort)
	resume := fmt.Sprintf("`retort distill --tasks %s --resume` goes on", d.job.File)
	switch {
	case errors.Is(stop, errBudgetUsed):
		stop = withHint(partial("%v: $%.4f of $%.4f; %s", stop, v.CostUSD+v.Reserved, d.limit, v.remainder()), strings.Replace(resume, "--resume", "--resume --budget MORE", 1))
	case errors.Is(stop, context.Canceled):
		stop = withHint(stop, resume)
	case stop != nil && hintOf(stop) == "" && v.Left > 0:
		stop = withHint(stop, resume+", once that is mended")
	case stop == nil && v.Failed+v.Unvaried > 0:
		stop = withHint(partial("%s", v.remainder()), resume)
	case stop == nil && len(v.BadLines) > 0:
		stop = partial("%d lines could not be used", len(v.BadLines))
	}
	return errors.Join(d.object(v), stop, saved)
}

// remainder says what is not done.
func (v distillView) remainder() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{v.Left, "left to ask"}, {v.Failed, "failed"}, {v.Unvaried, "not varied"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d questions %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

func (v distillView) print(r *retort) {
	r.printf("\n💾 Kept %d of %d answers", v.Kept, v.Answered)
	if v.Already > 0 {
		r.printf("; the store had %d already", v.Already)
	}
	r.printf("\n")
	r.counts("not kept", v.NotKept)
	if v.Variations > 0 || len(v.Dropped) > 0 {
		r.printf("Varied: %d further questions\n", v.Variations)
		r.counts("dropped", v.Dropped)
	}
	for _, b := range v.BadLines[:min(len(v.BadLines), shownBad)] {
		r.note("left out: %s", b)
	}
	if n := len(v.BadLines) - shownBad; n > 0 {
		r.note("left out: %d more", n)
	}
	if v.Duplicates > 0 {
		r.printf("%d lines repeat others\n", v.Duplicates)
	}
	r.printf("Cost: $%.4f", v.CostUSD)
	if v.Reserved > 0 {
		r.printf(", and up to $%.4f for questions that were cut off", v.Reserved)
	}
	r.printf("\nTook %s. All of it is in %s\n", seconds(time.Duration(v.Seconds*float64(time.Second))), v.Folder)
}

// counts prints numbers by reason.
func (r *retort) counts(what string, by map[string]int) {
	for _, reason := range slices.Sorted(maps.Keys(by)) {
		r.printf("  %5d %s: %s\n", by[reason], what, strings.ReplaceAll(reason, "_", " "))
	}
}

// savedView is a row of the list of runs; its JSON names are stable.
type savedView struct {
	Run       string       `json:"run"`
	File      string       `json:"file"`
	State     string       `json:"state"` // "finished", "unfinished" or "broken off"
	CreatedAt time.Time    `json:"created_at"`
	Result    *distillView `json:"result"` // of the last time; null if that was broken off
}

func (r *retort) listDistill() error {
	runs, damaged := savedRuns(r.path("distill"))
	views := []savedView{}
	rows := [][]string{{"RUN", "STATE", "TASKS", "KEPT", "LEFT", "COST", "FILE"}}
	for _, run := range runs {
		v := savedView{run.job.ID, run.job.File, "broken off", run.job.CreatedAt, run.result}
		row := []string{v.Run, v.State, fmt.Sprint(run.job.Tasks), "?", "?", "?", v.File}
		if res := run.result; res != nil {
			v.State = map[bool]string{true: "finished", false: "unfinished"}[run.finished()]
			row = []string{v.Run, v.State, fmt.Sprint(res.Tasks + res.Variations), fmt.Sprint(res.Kept), fmt.Sprint(res.Left + res.Failed),
				fmt.Sprintf("$%.4f", res.CostUSD+res.Reserved), v.File}
		}
		views, rows = append(views, v), append(rows, row)
	}
	if len(runs) == 0 {
		r.printf("No runs yet.\n")
	} else {
		r.table(rows)
	}
	return errors.Join(r.object(views), damaged)
}
