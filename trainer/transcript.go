package trainer

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"unicode"
)

// transcript is log.txt: the process writes its stderr there directly, and we
// add what it said on stdout that was not progress.
type transcript struct {
	path  string
	file  *os.File
	start int64 // where this attempt begins
	room  int   // bytes of stdout that may still be added
}

// exitInterrupted is the status with which run.py ends once it has saved a checkpoint.
const exitInterrupted = 130

// maxNoise bounds what is kept of stdout, so that a process gone wild does not
// fill the disk.
const maxNoise = 1 << 20

func openTranscript(path string) (*transcript, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &transcript{path: path, file: f, start: end, room: maxNoise}, nil
}

func (t *transcript) close() { t.file.Close() }

const noiseMark = "stdout: "

// note adds a line of stdout. A log that cannot be written is no reason to stop
// a training.
func (t *transcript) note(line []byte, cut bool) {
	if t.room <= 0 || len(line) == 0 {
		return
	}
	suffix := "\n"
	if cut {
		suffix = " [cut]\n"
	}
	if t.room -= len(line); t.room <= 0 {
		suffix += noiseMark + "[no more of it is kept]\n"
	}
	_, _ = t.file.WriteString(noiseMark + string(line) + suffix)
}

// exceptionLine is how Python's tracebacks end.
var exceptionLine = regexp.MustCompile(`^([A-Za-z_][\w.]*\.)?[A-Z]\w*(Error|Exception|Interrupt|Exit)\b`)

// lastWords returns what the process said last on stderr: the error it ends
// with, or the exception it died of, or else its last line; "" if it said
// nothing.
func (t *transcript) lastWords() string {
	const tail = 64 << 10
	end, err := t.file.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	from := max(t.start, end-tail)
	text, err := io.ReadAll(io.NewSectionReader(t.file, from, end-from))
	if err != nil {
		return ""
	}
	var last, exception string
	// A progress bar rewrites its line with \r.
	for _, line := range strings.FieldsFunc(string(text), func(c rune) bool { return c == '\n' || c == '\r' }) {
		if line = printable(line); line == "" || strings.HasPrefix(line, strings.TrimSpace(noiseMark)) {
			continue
		}
		last = line
		if exceptionLine.MatchString(line) {
			exception = line
		}
	}
	if own, ok := strings.CutPrefix(last, "error: "); ok {
		return own // so the scripts report what they foresaw
	}
	return cmp.Or(exception, last)
}

// printable makes text fit for one line of a terminal.
func printable(text string) string {
	const limit = 300
	text = strings.TrimSpace(strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(text, "?")))
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}

// diedInterrupted reports whether the process ended by an interrupt, be it before it
// could handle one: Run.Cancel may come while Python starts.
func diedInterrupted(err error) bool {
	exit, ok := err.(*exec.ExitError)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	bySignal := ok && status.Signaled() && (status.Signal() == syscall.SIGINT || status.Signal() == syscall.SIGTERM)
	return bySignal || exit.ExitCode() == exitInterrupted
}

// processError says how the process ended and what it said last.
func (r *Run) processError(err error, log *transcript) *ProcessError {
	e := &ProcessError{Run: r.ID, Reason: fmt.Sprintf("python: %v", err), Log: log.path, Err: err}
	if exit, ok := err.(*exec.ExitError); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			e.Reason = fmt.Sprintf("python was ended by a signal (%v)", status.Signal())
			if status.Signal() == syscall.SIGKILL {
				e.advice = "often that is the system running out of memory: try a smaller batch size"
			}
		} else {
			e.Reason = fmt.Sprintf("python exited with status %d", exit.ExitCode())
		}
	}
	if words := log.lastWords(); words != "" {
		e.Reason += ": " + words
	}
	return e
}
