package forms

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"retort/dataset"
)

// Options say how to write.
type Options struct {
	Form   Form
	Margin float64 // of scores, for pairs of candidates; 0 is to make none
}

// Counts say what became of the examples.
type Counts struct {
	Written int            `json:"written"`  // lines or rows
	LeftOut map[string]int `json:"left_out"` // examples, by reason
}

// Reasons to leave an example out.
const (
	reasonPoor   = "is rated 1 or 2 of 5"
	reasonImages = "holds images"
	reasonTools  = "holds tool calls"
	reasonTurns  = "is no question with answers in turns"
	reasonNoPair = "has no answer that is worse or rated"
	reasonTwice  = "is there already"
)

// Write writes examples to w in a form. The forms that training starts from
// (all but Retort, Parquet and those with preferences) leave out what the user
// rated 1 or 2. It stops at the first error of the sequence. For TRLDPO and
// TRLKTO the sequence is ranged over twice.
func Write(ctx context.Context, w io.Writer, o Options, examples iter.Seq2[dataset.Example, error]) (Counts, error) {
	buf := bufio.NewWriterSize(w, 64<<10)
	out := sink{counts: Counts{LeftOut: map[string]int{}}}
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false) // for people to read
	out.put = enc.Encode
	finish := func() error { return nil }
	if o.Form == Parquet {
		out.put, finish = parquetSink(buf)
	}
	lay, err := layoutOf(o.Form)
	if err != nil {
		return out.counts, err
	}
	n := 0
	for g, err := range sequence(o, examples) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = lay(&out, g)
		}
		if n++; err != nil {
			return out.counts, fmt.Errorf("export example %d: %w", n, err)
		}
	}
	err = finish()
	if err == nil {
		err = buf.Flush()
	}
	if err != nil {
		return out.counts, fmt.Errorf("export: %w", err)
	}
	return out.counts, nil
}

// sequence gives the examples the groups that their form needs.
func sequence(o Options, examples iter.Seq2[dataset.Example, error]) iter.Seq2[group, error] {
	if o.Form == TRLDPO || o.Form == TRLKTO {
		return groups(examples, o.Margin)
	}
	return func(yield func(group, error) bool) {
		for ex, err := range examples {
			if !yield(group{ex: ex}, err) {
				return
			}
		}
	}
}

// sink takes what is written, and counts.
type sink struct {
	put    func(any) error
	counts Counts
}

func (s *sink) write(v any) error {
	if err := s.put(v); err != nil {
		return err
	}
	s.counts.Written++
	return nil
}

func (s *sink) leaveOut(reason string) error {
	s.counts.LeftOut[reason]++
	return nil
}
