package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"retort/internal/files"
	"retort/internal/scrub"
)

// distilJobsOf are the files of lines of distil jobs that hold what one of the
// forgotten examples asks. It refuses those of a job that is going on.
func (r *retort) distilJobsOf(gone *scrub.Forgotten) (files []string, err error) {
	err = filepath.WalkDir(r.path("distill"), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // there are no jobs, or it went meanwhile
		}
		if err != nil || e.IsDir() || filepath.Ext(path) != ".jsonl" {
			return err
		}
		n, err := scrub.Find(path, gone.JSON)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || n == 0 {
			return err
		}
		lock, err := r.lockJob(filepath.Dir(path))
		if err != nil {
			return err
		}
		files = append(files, path)
		return lock.Close()
	})
	return files, err
}

// forgetInJob takes those lines out of a file of a distil job.
func (r *retort) forgetInJob(path string, gone *scrub.Forgotten) (lines int, err error) {
	lock, err := r.lockJob(filepath.Dir(path))
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	if err := files.RemoveRemains(path); err != nil { // of a forgetting that was killed
		return 0, err
	}
	if filepath.Base(path) == spentFile {
		return forgetInLedger(path, gone)
	}
	return scrub.Lines(path, gone.JSON)
}

// forgetInLedger keeps the lines of a ledger, which tell what was spent, but not
// what they say for people if that quotes a question.
func forgetInLedger(path string, gone *scrub.Forgotten) (lines int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var all []ledgerLine
	_, err = readLines(f, func(line []byte) error {
		var e ledgerLine
		if err := json.Unmarshal(line, &e); err != nil {
			return errDamagedLedger
		}
		if gone.JSON(line) {
			e.Detail = ""
			lines++
		}
		all = append(all, e)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read %q: %w", path, err)
	}
	if err := f.Close(); err != nil { // Windows replaces no open file
		return 0, err
	}
	return lines, writeLines(path, all)
}

// lockJob keeps others from going on with the distil job in dir until it is
// closed: a process that adds to a file must not have it replaced under its hands.
func (r *retort) lockJob(dir string) (io.Closer, error) {
	var job struct {
		Digest string `json:"tasks_digest"`
	}
	data, err := os.ReadFile(filepath.Join(dir, jobFile))
	if errors.Is(err, fs.ErrNotExist) { // it ended before it began
		return io.NopCloser(nil), nil
	}
	if err == nil {
		err = json.Unmarshal(data, &job)
	}
	if err != nil {
		return nil, fmt.Errorf("read distil job %q: %w", filepath.Base(dir), err)
	}
	lock, err := files.TryLock(filepath.Join(filepath.Dir(dir), shortID(job.Digest)+".lock"))
	if errors.Is(err, files.ErrLocked) {
		err = withHint(partial("distil job %s is going on with some of these examples: they stay until that ends", filepath.Base(dir)),
			"wait for it or interrupt it; then do this again")
	}
	if err != nil {
		return nil, err
	}
	return lock, nil
}
