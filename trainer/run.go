package trainer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Run is a run directory. Its Job never changes, nor do its Data but for what
// Forget takes out of them; where it stands is in State.
type Run struct {
	ID   string
	Dir  string
	Job  Job
	Data Data
}

// Status says where a run stands.
type Status string

// The states of a run. It begins as prepared; only Train moves it, and only
// while it holds the run's lock:
//
//	prepared, interrupted, failed -> running -> complete, interrupted or failed
const (
	StatusPrepared    Status = "prepared"
	StatusRunning     Status = "running"
	StatusInterrupted Status = "interrupted" // stopped on purpose, or its owner died
	StatusFailed      Status = "failed"
	StatusComplete    Status = "complete"
)

// State is where a run stands: the content of state.json.
type State struct {
	Status    Status    `json:"status"`
	Attempts  int       `json:"attempts"`            // how often training was started
	PID       int       `json:"pid,omitempty"`       // of the training process, while running
	PIDStart  string    `json:"pid_start,omitempty"` // when that process began; tells it from a later one of the same number
	CreatedAt time.Time `json:"created_at"`          // UTC, as are the others
	StartedAt time.Time `json:"started_at,omitzero"` // of the last attempt
	EndedAt   time.Time `json:"ended_at,omitzero"`
	Error     string    `json:"error,omitempty"` // why the last attempt ended without a result
}

// OpenRun returns the run named id of the runs directory dir. The error wraps
// ErrNoRun where there is none.
func OpenRun(dir, id string) (*Run, error) {
	if err := checkRunID(id); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir) // the training process works in another directory than we
	if err != nil {
		return nil, fmt.Errorf("run %q: %w", id, err)
	}
	r := &Run{ID: id, Dir: filepath.Join(dir, id)}
	err = r.readJSON("job.json", &r.Job)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("run %q: %w", id, ErrNoRun)
	}
	if err == nil {
		err = r.readJSON(manifestFile, &r.Data)
	}
	if err == nil && r.Job.ID != id {
		err = fmt.Errorf("job.json is of run %q", r.Job.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("run %q: %w", id, err)
	}
	return r, nil
}

// ListRuns returns the runs in dir, ordered by name (Finetune's begin with the
// time). Those that cannot be read are left out and joined into the error, so
// that one damaged run does not hide the others.
func ListRuns(dir string) ([]*Run, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var (
		runs []*Run
		errs []error
	)
	for _, e := range entries {
		if !e.IsDir() || !runID.MatchString(e.Name()) {
			continue // not ours, or the remains of a Prepare that was killed
		}
		r, err := OpenRun(dir, e.Name())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		runs = append(runs, r)
	}
	return runs, errors.Join(errs...)
}

// State returns where the run stands now. A run whose owner died without saying
// so is interrupted.
func (r *Run) State() (State, error) {
	st, err := r.readState()
	if err != nil || st.Status != StatusRunning || r.locked() {
		return st, err
	}
	// An owner that ended in this moment has said so before it let go.
	if st, err = r.readState(); err == nil && st.Status == StatusRunning {
		st.Status, st.PID, st.PIDStart = StatusInterrupted, 0, ""
		st.Error = cmp.Or(st.Error, "the process that trained it died")
	}
	return st, err
}

func (r *Run) readState() (State, error) {
	var st State
	if err := r.readJSON(stateFile, &st); err != nil {
		return State{}, fmt.Errorf("run %q: %w", r.ID, err)
	}
	return st, nil
}

// Cancel interrupts the run, whichever process is training it: it saves a
// checkpoint and ends with ErrInterrupted there. It does not wait for that.
func (r *Run) Cancel() error {
	st, err := r.State()
	if err != nil {
		return err
	}
	if st.Status != StatusRunning || st.PIDStart != processStart(st.PID) {
		return fmt.Errorf("cancel run %q: it is not running", r.ID)
	}
	if err := interruptGroup(st.PID); err != nil {
		return fmt.Errorf("cancel run %q: %w", r.ID, err)
	}
	return nil
}

// Names inside a run directory.
const (
	stateFile     = "state.json"
	trainFile     = "data/train.jsonl"
	manifestFile  = "data/manifest.json"
	selectionFile = "data/selection.json"
	heldOutFile   = "data/heldout.jsonl"
	planFile      = "plan.json"
	logFile       = "log.txt"
)

// preparePrefix begins the name of a run directory that is not whole yet.
const preparePrefix = ".prepare-"

func (r *Run) path(name string) string { return filepath.Join(r.Dir, filepath.FromSlash(name)) }

func (r *Run) readJSON(name string, v any) error {
	data, err := os.ReadFile(r.path(name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// saveState replaces state.json in one step.
func (r *Run) saveState(st State) error {
	data, err := encodeJSON(st)
	if err != nil {
		return err
	}
	tmp := r.path(stateFile + ".tmp")
	if err := writeSynced(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, r.path(stateFile))
}

func encodeJSON(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}

// writeSynced writes a file that is on disk when it returns.
func writeSynced(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
