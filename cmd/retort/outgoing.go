package main

import (
	"encoding/hex"
	"iter"
	"runtime"
	"strings"
	"sync"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/dataset/forms"
)

// outgoing decides which examples may leave in an export. It counts each of the
// others once, however often a form ranges over the examples.
type outgoing struct {
	forbidden  func(dataset.Example) string                       // by terms
	quarantine func(dataset.Example) (r clean.Reason, why string) // nil: whatever it is may leave

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

// outgoingChunk is how many examples are looked at ahead, by all CPUs.
const outgoingChunk = 64

// only yields those of examples that may leave, in their order.
func (o *outgoing) only(examples iter.Seq2[dataset.Example, error]) iter.Seq2[dataset.Example, error] {
	return func(yield func(dataset.Example, error) bool) {
		chunk := make([]dataset.Example, 0, outgoingChunk)
		flush := func() bool {
			for i, verdict := range o.judge(chunk) {
				if verdict == "" && !yield(chunk[i], nil) {
					return false
				}
			}
			chunk = chunk[:0]
			return true
		}
		for ex, err := range examples {
			switch {
			case err != nil:
				if !flush() || !yield(ex, err) {
					return
				}
			default:
				if chunk = append(chunk, ex); len(chunk) == outgoingChunk && !flush() {
					return
				}
			}
		}
		flush()
	}
}

// judge says of each example why it may not leave, or "".
func (o *outgoing) judge(examples []dataset.Example) []clean.Reason {
	verdicts := make([]clean.Reason, len(examples))
	known := make([]bool, len(examples))
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(examples); i += workers {
				if verdicts[i], known[i] = o.verdicts[idKey(examples[i].ID)]; !known[i] {
					verdicts[i] = o.verdict(examples[i])
				}
			}
		})
	}
	wg.Wait()
	for i, verdict := range verdicts {
		if known[i] {
			continue
		}
		if o.verdicts != nil {
			o.verdicts[idKey(examples[i].ID)] = verdict
		}
		if verdict != "" {
			o.left[verdict]++
		}
	}
	return verdicts
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
