package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ledger is the account of a run of distill: a file of JSON lines that is only
// ever added to, and on disk before a call returns. One line stands before a
// question that may cost something is sent, one after it was answered, so that
// whatever ends the process, nothing is answered or paid for twice and no cost is
// forgotten. It belongs to one goroutine.
type ledger struct {
	file   durableFile
	broken error                 // what kept a line from the disk: nothing is added after it
	open   map[string]ledgerLine // asked, and not known to be answered
	closed map[string]ledgerLine // the last answer
	spent  float64               // US dollars that are known to be spent
	lost   float64               // US dollars that may be: set aside for questions that a crash or an interrupt left open
}

// ledgerLine is a line of a ledger.
type ledgerLine struct {
	At       time.Time `json:"at"`
	Step     string    `json:"step"`  // stepAsk or stepExpand
	Task     string    `json:"task"`  // digest
	State    string    `json:"state"` // stateAsking or stateDone
	Reserved float64   `json:"reserved_usd,omitempty"`

	// What follows is known when it is done.
	Result  string  `json:"result,omitempty"` // resultKept, resultNotKept, resultFailed or resultExpanded
	Reason  string  `json:"reason,omitempty"` // of resultNotKept: a word to count by
	Detail  string  `json:"detail,omitempty"` // for people
	Example string  `json:"example,omitempty"`
	Cost    float64 `json:"cost_usd,omitempty"`
}

const (
	stepAsk    = "ask"
	stepExpand = "expand"

	stateAsking = "asking"
	stateDone   = "done"

	resultKept     = "kept"
	resultNotKept  = "not_kept"
	resultFailed   = "failed" // nobody answered: it may be asked again
	resultExpanded = "expanded"
)

var errDamagedLedger = errors.New("the account of what was asked and spent is damaged")

func (e ledgerLine) key() string { return e.Step + " " + e.Task }

// openLedger reads the file at path, which need not exist. A last line that was
// cut short is dropped: what it would have told had not begun, or counts as open.
func openLedger(path string) (*ledger, error) {
	l := &ledger{open: map[string]ledgerLine{}, closed: map[string]ledgerLine{}}
	f, err := openLines(path, l.read)
	if err != nil {
		return nil, err
	}
	l.file = f
	for _, e := range l.open { // whoever asked has gone
		l.lost += e.Reserved
	}
	clear(l.open)
	return l, nil
}

// read takes in one line of the file.
func (l *ledger) read(line []byte) error {
	var e ledgerLine
	if err := json.Unmarshal(line, &e); err != nil || e.Task == "" || e.Reserved < 0 || e.Cost < 0 || e.State != stateAsking && e.State != stateDone {
		return errDamagedLedger
	}
	l.take(e)
	return nil
}

// take books one line.
func (l *ledger) take(e ledgerLine) {
	before, pending := l.open[e.key()]
	if e.State == stateAsking {
		if pending { // a crash lies between the two
			l.lost += before.Reserved
		}
		l.open[e.key()] = e
		return
	}
	delete(l.open, e.key())
	l.closed[e.key()] = e
	l.spent += e.Cost
}

// asking notes, before a question is sent, the most that it can cost. A question
// that costs nothing needs no line.
func (l *ledger) asking(step, task string, most float64) error {
	if most == 0 {
		return l.broken
	}
	return l.add(ledgerLine{Step: step, Task: task, State: stateAsking, Reserved: most})
}

// done notes what became of a question.
func (l *ledger) done(e ledgerLine) error {
	e.State = stateDone
	return l.add(e)
}

func (l *ledger) add(e ledgerLine) error {
	if l.broken != nil {
		return l.broken
	}
	e.At = time.Now().UTC()
	line, err := json.Marshal(e)
	if err == nil {
		err = addLine(l.file, line)
	}
	if err != nil {
		l.broken = fmt.Errorf("write the account of what was spent: %w", err)
		return l.broken
	}
	l.take(e)
	return nil
}

// answered is what became of a task, if that is settled for good.
func (l *ledger) answered(step, task string) (ledgerLine, bool) {
	e, ok := l.closed[step+" "+task]
	return e, ok && e.Result != resultFailed
}

// reserved is what the questions on their way can cost, US dollars.
func (l *ledger) reserved() (sum float64) {
	for _, e := range l.open {
		sum += e.Reserved
	}
	return sum
}

// fits reports whether a question that can cost most may still be asked under
// limit, whatever becomes of those on their way.
func (l *ledger) fits(most, limit float64) bool {
	return most == 0 || l.spent+l.lost+l.reserved()+most <= limit
}

func (l *ledger) Close() error { return l.file.Close() }
