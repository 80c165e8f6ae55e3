package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// TestDistillView_JSON holds the names that scripts rely on.
func TestDistillView_JSON(t *testing.T) {
	v := distillView{Run: "r", Folder: "f", Tasks: 9, Variations: 2, Answered: 5, Kept: 4, NotKept: map[string]int{reasonUnsure: 1}, Already: 1, Failed: 1, Left: 2,
		Unvaried: 1, Dropped: map[string]int{"repeated": 3}, Duplicates: 1, BadLines: []string{"line 3: bad"}, CostUSD: 0.5, Reserved: 0.25,
		Budget: new(1.5), Seconds: 2, Stopped: "why"}
	var out bytes.Buffer
	if err := (output{stdout: &out, asJSON: true}).object(v); err != nil {
		t.Fatal(err)
	}
	want := `{"run":"r","folder":"f","tasks":9,"variations":2,"answered":5,"kept":4,"not_kept":{"unsure":1},"already":1,"failed":1,"left":2,` +
		`"unvaried":1,"dropped":{"repeated":3},"duplicates":1,"bad_lines":["line3:bad"],"cost_usd":0.5,"reserved_usd":0.25,"budget_usd":1.5,"seconds":2,"stopped":"why"}`
	if got := strings.Join(strings.Fields(out.String()), ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestDistill_view counts each question once, wherever it is known from.
func TestDistill_view(t *testing.T) {
	tasks := someTasks(7)
	d := &distill{ledger: newTestLedger(&fullFile{1 << 20}), list: taskList{tasks: tasks, bad: []badTask{{Line: 4, Reason: "odd"}}},
		already: map[string]bool{tasks[0].Digest: false, tasks[1].Digest: true}}
	book := func(n int, e ledgerLine) {
		e.Step, e.Task = stepAsk, tasks[n].Digest
		if err := errors.Join(d.ledger.asking(stepAsk, e.Task, 1), d.ledger.done(e)); err != nil {
			t.Fatal(err)
		}
	}
	book(2, ledgerLine{Result: resultKept, Cost: 0.1})
	book(3, ledgerLine{Result: resultNotKept, Reason: reasonEmpty, Cost: 0.2})
	book(4, ledgerLine{Result: resultFailed})
	if err := d.ledger.asking(stepAsk, tasks[5].Digest, 2); err != nil { // cut off
		t.Fatal(err)
	}
	v := d.view(errBudgetUsed)
	if v.Tasks != 7 || v.Answered != 3 || v.Kept != 2 || v.NotKept[reasonEmpty] != 1 || v.Already != 1 || v.Failed != 1 || v.Left != 2 {
		t.Errorf("%+v", v)
	}
	if v.CostUSD != 0.3 || v.Reserved != 2 || v.Stopped != "the budget is used up" || len(v.BadLines) != 1 {
		t.Errorf("%+v", v)
	}
	if got := v.remainder(); got != "2 questions left to ask, 1 questions failed" {
		t.Error(got)
	}
}
