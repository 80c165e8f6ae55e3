package trainer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"retort/internal/files"
	"retort/scripts"
	"time"
)

// Exec says how the training process is started.
type Exec struct {
	Python string          // path of the interpreter, or its name
	Env    []string        // "NAME=value"; only harmless names reach the process, no key ever does
	Grace  time.Duration   // from the interrupt to the kill; 0 means DefaultGrace
	Kill   <-chan struct{} // closed to cut the grace short, as by a second Ctrl-C; may be nil
}

// DefaultGrace is how long a training process may take to save a checkpoint.
const DefaultGrace = 60 * time.Second

// Train trains the run to its end, going on from the last checkpoint where
// there is one, and returns the checked result. A run that is complete returns
// its result at once. onProgress may be nil; it is called from one goroutine,
// and the training waits for it.
//
// When ctx is cancelled the process is asked to save a checkpoint, and killed
// where that takes longer than ex.Grace; the error then wraps ErrInterrupted.
// Whatever happens, nothing of the process's group is left when Train returns.
// Other errors are a *ProcessError, or wrap ErrBusy or ErrForgotten.
func (r *Run) Train(ctx context.Context, ex Exec, onProgress func(Progress)) (Result, error) {
	lock, err := r.lock()
	if err != nil {
		return Result{}, err
	}
	defer lock.Close()
	if err := r.checkForgotten(); err != nil {
		return Result{}, err
	}
	st, err := r.State()
	if err != nil {
		return Result{}, err
	}
	if st.Status == StatusComplete {
		if res, err := r.Result(); err == nil {
			return res, nil
		}
	}
	if err := r.checkData(); err != nil {
		return Result{}, err
	}
	res, err := r.attempt(ctx, ex, lock, &st, onProgress)
	st.PID, st.PIDStart, st.EndedAt, st.Error = 0, "", now(), ""
	switch {
	case err == nil:
		st.Status = StatusComplete
	case errors.Is(err, ErrInterrupted):
		st.Status, st.Error = StatusInterrupted, err.Error()
	default:
		st.Status, st.Error = StatusFailed, err.Error()
	}
	if saveErr := r.saveState(st); saveErr != nil && err == nil {
		return Result{}, fmt.Errorf("train %q: %w", r.ID, saveErr)
	}
	return res, err
}

// checkData makes sure that the data are those the run was made with.
func (r *Run) checkData() error {
	sum, err := files.SHA256(r.path(trainFile))
	if err != nil {
		return fmt.Errorf("train %q: %w", r.ID, err)
	}
	if "sha256:"+sum != r.Data.Digest {
		return fmt.Errorf("train %q: %s was changed after the run was prepared", r.ID, trainFile)
	}
	return nil
}

// attempt starts the process once and sees it to its end. It keeps st up to date.
func (r *Run) attempt(ctx context.Context, ex Exec, lock *os.File, st *State, onProgress func(Progress)) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, &interruptedError{run: r.ID, cause: err}
	}
	fail := func(err error) (Result, error) { return Result{}, fmt.Errorf("train %q: %w", r.ID, err) }
	// What an earlier attempt left must not pass for this one's result.
	if err := os.Remove(r.path("result.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	log, err := openTranscript(r.path(logFile))
	if err != nil {
		return fail(err)
	}
	defer log.close()
	tmp := r.path("tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return fail(err)
	}
	defer os.RemoveAll(tmp)

	cmd := r.command(ex, tmp, st.Attempts > 0)
	cmd.Stderr = log.file
	cmd.ExtraFiles = []*os.File{lock} // see lock for why
	c, err := startChild(cmd)
	if err != nil {
		return Result{}, &ProcessError{Run: r.ID, Reason: fmt.Sprintf("start python: %v", err), Log: log.path, Err: err,
			advice: "retort doctor tells whether the Python environment is there"}
	}
	defer c.close()
	*st = State{Status: StatusRunning, Attempts: st.Attempts + 1, PID: cmd.Process.Pid, PIDStart: processStart(cmd.Process.Pid),
		CreatedAt: st.CreatedAt, StartedAt: now()}
	if err := r.saveState(*st); err != nil {
		return fail(err)
	}
	return r.watch(ctx, c, ex, log, onProgress)
}

// command is what run.sh does, with less around it.
func (r *Run) command(ex Exec, tmp string, resume bool) *exec.Cmd {
	cmd := exec.Command(absolute(ex.Python), scripts.Entry, "job.json")
	if resume {
		cmd.Args = append(cmd.Args, "--resume")
	}
	cmd.Dir, cmd.Env = r.Dir, childEnv(ex.Env, tmp, r.Job)
	return cmd
}

// absolute makes a path independent of the directory it is used in. A bare name
// stays, to be looked up.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil && filepath.Base(path) != path {
		return abs
	}
	return path
}

// watch follows the process to its end and says what came of it.
func (r *Run) watch(ctx context.Context, c *child, ex Exec, log *transcript, onProgress func(Progress)) (Result, error) {
	grace := ex.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	go c.stopWith(ctx, grace, ex.Kill)
	var (
		step        int
		interrupted bool
	)
	// It ends in an error only if a process escaped and kept the pipe; the
	// judgement below is the same.
	_ = eachLine(c.stdout, func(line []byte, cut bool) {
		p, err := parseProgress(line)
		if err != nil || cut {
			log.note(line, cut)
			return
		}
		step = max(step, p.Step)
		interrupted = interrupted || p.Event == EventInterrupted
		if onProgress != nil {
			onProgress(p)
		}
	})
	<-c.done
	res, err := r.Result()
	switch {
	case c.err == nil && err == nil:
		return res, nil
	case interrupted || ctx.Err() != nil || diedInterrupted(c.err):
		return Result{}, &interruptedError{run: r.ID, step: step, cause: ctx.Err()}
	case c.err == nil:
		return Result{}, &ProcessError{Run: r.ID, Reason: "python ended without a valid result: " + err.Error(), Log: log.path, Err: err}
	}
	return Result{}, r.processError(c.err, log)
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
