package trainer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Progress is one line of a run's progress. Which fields are set depends on
// Event.
type Progress struct {
	Event        string  `json:"event"`
	Stage        string  `json:"stage,omitempty"`         // of EventStage: what begins
	Step         int     `json:"step,omitempty"`          // of EventStep, EventCheckpoint and EventInterrupted, from 1
	Steps        int     `json:"steps,omitempty"`         // how many there will be
	Epoch        float64 `json:"epoch,omitempty"`         // passes over the data so far
	Loss         float64 `json:"loss,omitempty"`          // mean over the step's completion tokens, nats
	LearningRate float64 `json:"learning_rate,omitempty"` // used in this step
	Tokens       int     `json:"tokens,omitempty"`        // seen so far
	Seconds      float64 `json:"seconds,omitempty"`       // since the training stage of this attempt began
}

// The kinds of progress.
const (
	EventStage       = "stage"       // a stage begins: see the Stage constants
	EventStep        = "step"        // one step of the stage is done
	EventCheckpoint  = "checkpoint"  // the run could go on from here
	EventInterrupted = "interrupted" // it stopped because it was told to
	EventDone        = "done"        // the result is written
)

// The stages, in the order they come. Python reports those in the middle,
// Finetune the first and the last.
const (
	StagePrepare = "prepare" // examples are turned into tokens
	StageUnpack  = "unpack"  // the base is unpacked, once per base
	StageLoad    = "load"    // Python loads the base
	StageTrain   = "train"   // steps count optimizer steps
	StageExport  = "export"  // the adapter becomes a GGUF
	StageGate    = "gate"    // steps count held-out items, of candidate and reference together
)

// parseProgress reads one line of the training process's output.
func parseProgress(line []byte) (Progress, error) {
	var p Progress
	if err := json.Unmarshal(line, &p); err != nil {
		return Progress{}, err
	}
	switch p.Event {
	case EventStage, EventStep, EventCheckpoint, EventInterrupted, EventDone:
		return p, nil
	}
	return Progress{}, fmt.Errorf("unknown event %q", p.Event)
}

// maxLine bounds what is kept of one line; a progress line has some 200 bytes.
const maxLine = 32 << 10

// eachLine calls f with every line of r until its end, without the line break.
// Of a line longer than maxLine only the beginning is given, and cut is true.
func eachLine(r io.Reader, f func(line []byte, cut bool)) error {
	br := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := br.ReadSlice('\n')
		cut := errors.Is(err, bufio.ErrBufferFull)
		if len(line) > 0 {
			f(bytes.TrimRight(line, "\r\n"), cut)
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = br.ReadSlice('\n')
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Progress returns what the run has reported so far, oldest first, over all
// attempts. A line that was cut off by a crash is left out.
func (r *Run) Progress() ([]Progress, error) {
	f, err := os.Open(r.path("progress.jsonl"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []Progress
	err = eachLine(f, func(line []byte, cut bool) {
		if p, err := parseProgress(line); err == nil && !cut {
			out = append(out, p)
		}
	})
	return out, err
}
