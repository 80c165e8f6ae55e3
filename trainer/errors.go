package trainer

import (
	"errors"
	"fmt"
)

var (
	// ErrInterrupted: training was stopped on purpose before its end. The run
	// can be trained again and goes on from its last checkpoint.
	ErrInterrupted = errors.New("interrupted")

	// ErrBusy: another process is training this run.
	ErrBusy = errors.New("run is being trained by another process")

	// ErrForgotten: examples that the run was made of were forgotten, so it is
	// trained no more.
	ErrForgotten = errors.New("examples that it was made of were forgotten")

	// ErrNoRun: there is no run of that name.
	ErrNoRun = errors.New("no such run")
)

// ProcessError says why the training process did not bring a result.
type ProcessError struct {
	Run    string // its ID
	Reason string // one line: how it ended, and the last thing it said
	Log    string // path of all that it said
	Err    error  // the cause, where there is one
	advice string // what to do, where the reason tells
}

func (e *ProcessError) Error() string { return fmt.Sprintf("train %q: %s", e.Run, e.Reason) }

// Unwrap returns the cause.
func (e *ProcessError) Unwrap() error { return e.Err }

// Hint says where to look and what to try.
func (e *ProcessError) Hint() string {
	if e.advice != "" {
		return e.advice + "; all it said is in " + e.Log
	}
	return "all it said is in " + e.Log
}

// interruptedError wraps ErrInterrupted and, where there was one, the
// cancellation behind it.
type interruptedError struct {
	run   string
	step  int
	cause error
}

func (e *interruptedError) Error() string {
	return fmt.Sprintf("train %q: %v at step %d", e.run, ErrInterrupted, e.step)
}

func (e *interruptedError) Unwrap() []error {
	if e.cause == nil {
		return []error{ErrInterrupted}
	}
	return []error{ErrInterrupted, e.cause}
}

// Hint says how to go on.
func (e *interruptedError) Hint() string {
	return "nothing is lost: retort runs resume " + e.run
}
