//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// interrupt starts a program, waits until a file whose path matches a pattern
// has a line that matches an expression, and sends what Ctrl-C sends. The
// program must then end with status 130 and leave no process behind. $MATCHED
// becomes the name of that file's folder, and what the program said is kept in
// the files stdout and stderr:
//
//	interrupt 'home/runs/*/progress.jsonl' '"step": 3,' retort finetune ...
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupt GLOB REGEXP PROGRAM [ARG ...]")
	}
	want := regexp.MustCompile(args[1])
	cmd := commandOf(ts, args[2:])
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := await(ts, args[0], want, ended); err != nil {
		killGroup(cmd)
		ts.Fatalf("%v:\n%s", err, stderr.String())
	}
	ts.Check(syscall.Kill(cmd.Process.Pid, syscall.SIGINT))
	err := <-ended
	ts.Check(os.WriteFile(ts.MkAbs("stdout"), stdout.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("stderr"), stderr.Bytes(), 0o600))
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		ts.Fatalf("ended with %v, want exit status %d:\n%s", err, exitInterrupted, stderr.String())
	}
	if err := syscall.Kill(-cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		killGroup(cmd)
		ts.Fatalf("it left processes behind (%v)", err)
	}
}

// awaitCmd waits until another process has written what interrupt waits for:
//
//	await 'home/runs/*/progress.jsonl' '"step": 3'
func awaitCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await GLOB REGEXP")
	}
	ts.Check(await(ts, args[0], regexp.MustCompile(args[1]), nil))
}

// await sets $MATCHED to the folder of the first file of glob that has what want
// looks for, once there is one.
func await(ts *testscript.TestScript, glob string, want *regexp.Regexp, ended chan error) error {
	tick := time.NewTicker(5 * time.Millisecond) // another process writes the file: there is nothing to wait on
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for {
		if file := matching(ts, glob, want); file != "" {
			ts.Setenv("MATCHED", filepath.Base(filepath.Dir(file)))
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("ended (%v) before %s matched %q", err, glob, want)
		case <-late:
			return fmt.Errorf("%s does not match %q", glob, want)
		case <-tick.C:
		}
	}
}

// commandOf is the command of a script that ts.Exec cannot run, as it is to go on
// while the script watches it.
func commandOf(ts *testscript.TestScript, args []string) *exec.Cmd {
	path := args[0]
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if file := filepath.Join(dir, args[0]); args[0] == filepath.Base(args[0]) {
			if _, err := os.Stat(file); err == nil {
				path = file
				break
			}
		}
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "WORK", "TMPDIR", "RETORT_HOME", "RETORT_OFFLINE"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// matching returns the first file of glob that has what want looks for.
func matching(ts *testscript.TestScript, glob string, want *regexp.Regexp) string {
	files, err := filepath.Glob(ts.MkAbs(glob))
	ts.Check(err)
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && want.Match(data) {
			return file
		}
	}
	return ""
}
