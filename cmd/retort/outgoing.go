package main

import (
	"encoding/hex"
	"iter"
	"strings"
	"sync"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/dataset/forms"
	"retort/internal/ahead"
)

// outgoing decides which examples may leave in an export. It counts each of the
// others once, however often a form ranges over the examples.
type outgoing struct {
	forbidden  func(dataset.Example) string                       // by terms
	quarantine func(dataset.Example) (r clean.Reason, why string) // nil: whatever it is may leave

	mu       sync.Mutex                // guards verdicts
	verdicts map[[32]byte]clean.Reason // by ID; "" may leave. Nil where each is seen once.
	left     map[clean.Reason]int
}

// outgoingIn makes the outgoing of a form.
func (r *retort) outgoingIn(form forms.Form, quarantined bool) (*outgoing, error) {
	o := &outgoing{forbidden: r.forbids, left: map[clean.Reason]int{}}
	switch form {
	case forms.Retort: // for a store of the owner's, with the terms of each
		o.forbidden = func(dataset.Example) string { return "" }
	case forms.TRLDPO, forms.TRLKTO: // ranged over twice
		o.verdicts = map[[32]byte]clean.Reason{}
	}
	if quarantined {
		return o, nil
	}
	q, err := clean.NewQuarantine()
	if err != nil {
		return nil, err
	}
	o.quarantine = q.Holds
	switch form {
	case forms.Retort, forms.TRLDPO, forms.TRLKTO, forms.Parquet: // have answers that were not kept
		o.quarantine = q.HoldsAnywhere
	}
	return o, nil
}

// vetted is an example, and why it may not leave, or "".
type vetted struct {
	dataset.Example
	verdict clean.Reason
	known   bool // from the time before
}

// only yields those of examples that may leave, in their order. All CPUs look at
// them, ahead.
func (o *outgoing) only(examples iter.Seq2[dataset.Example, error]) iter.Seq2[dataset.Example, error] {
	return func(yield func(dataset.Example, error) bool) {
		for j, err := range ahead.Map(examples, textSize, o.judge) {
			if err == nil && !j.known {
				o.note(j)
			}
			if (err != nil || j.verdict == "") && !yield(j.Example, err) {
				return
			}
		}
	}
}

// textSize is about how many bytes an example takes.
func textSize(ex dataset.Example) int {
	size := len(ex.Response)
	for _, m := range ex.Messages {
		size += len(m.Content)
		for _, img := range m.Images {
			size += len(img.Data)
		}
	}
	return size
}

func (o *outgoing) judge(ex dataset.Example) (vetted, error) {
	v := vetted{Example: ex}
	if o.verdicts != nil {
		o.mu.Lock()
		v.verdict, v.known = o.verdicts[idKey(ex.ID)]
		o.mu.Unlock()
	}
	if !v.known {
		v.verdict = o.verdict(ex)
	}
	return v, nil
}

// note counts an example that is seen for the first time.
func (o *outgoing) note(j vetted) {
	if o.verdicts != nil {
		o.mu.Lock()
		o.verdicts[idKey(j.ID)] = j.verdict
		o.mu.Unlock()
	}
	if j.verdict != "" {
		o.left[j.verdict]++
	}
}

func (o *outgoing) verdict(ex dataset.Example) clean.Reason {
	if o.forbidden(ex) != "" {
		return clean.Terms
	}
	if o.quarantine == nil {
		return ""
	}
	r, _ := o.quarantine(ex)
	return r
}

// idKey is an ID in as little memory as it takes: a store holds many.
func idKey(id string) (key [32]byte) {
	_, _ = hex.Decode(key[:], []byte(strings.TrimPrefix(id, "sha256:"))) // the store made it
	return key
}

// count is how many examples were left for their terms, and by kind of what they hold.
func (o *outgoing) count() (restricted int, quarantined map[clean.Reason]int) {
	quarantined = map[clean.Reason]int{}
	for reason, n := range o.left {
		if reason.Quarantined() {
			quarantined[reason] = n
		} else {
			restricted += n
		}
	}
	return restricted, quarantined
}
