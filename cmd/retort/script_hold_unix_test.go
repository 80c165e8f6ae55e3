//go:build unix

package main

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"retort/dataset/socket"
)

// background is a program that waits for its standard input.
type background struct {
	cmd            *exec.Cmd
	in             io.WriteCloser
	stdout, stderr bytes.Buffer
}

// backgrounds are those of all scripts, by script and name.
var backgrounds sync.Map

func backgroundOf(ts *testscript.TestScript, name string) *background {
	b, ok := backgrounds.Load([2]string{ts.Getenv("WORK"), name})
	if !ok {
		ts.Fatalf("no program %q is held", name)
	}
	return b.(*background)
}

// hold starts a program whose standard input stays open until release, and waits
// until some process serves the store:
//
//	hold NAME retort examples import -
func hold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: hold NAME PROGRAM [ARG ...]")
	}
	b := &background{cmd: commandOf(ts, args[1:])}
	b.cmd.Stdout, b.cmd.Stderr = &b.stdout, &b.stderr
	var err error
	b.in, err = b.cmd.StdinPipe()
	ts.Check(err)
	ts.Check(b.cmd.Start())
	ts.Defer(func() { _ = b.cmd.Process.Kill() })
	backgrounds.Store([2]string{ts.Getenv("WORK"), args[0]}, b)
	tick := time.NewTicker(5 * time.Millisecond) // another process makes the socket: there is nothing to wait on
	defer tick.Stop()
	path := socket.Path(filepath.Join(ts.Getenv("RETORT_HOME"), "store"))
	for late := time.After(time.Minute); ; {
		if c, err := socket.Dial(context.Background(), path); err == nil {
			ts.Check(c.Close())
			return
		}
		select {
		case <-late:
			ts.Fatalf("nobody serves the store:\n%s", b.stderr.String())
		case <-tick.C:
		}
	}
}

// release gives a held program the content of a file as its input, waits for its
// end, and prints what it said. With ! it is killed instead.
//
//	release NAME FILE
//	! release NAME
func release(ts *testscript.TestScript, neg bool, args []string) {
	if neg && len(args) != 1 || !neg && len(args) != 2 {
		ts.Fatalf("usage: release NAME FILE, or ! release NAME")
	}
	b := backgroundOf(ts, args[0])
	if neg {
		ts.Check(b.cmd.Process.Kill())
		if err := b.cmd.Wait(); err == nil {
			ts.Fatalf("%s ended by itself", args[0])
		}
		return
	}
	_, err := io.WriteString(b.in, ts.ReadFile(args[1]))
	ts.Check(err)
	ts.Check(b.in.Close())
	err = b.cmd.Wait()
	ts.Logf("[%s]\n%s%s", args[0], b.stdout.String(), b.stderr.String())
	ts.Check(err)
}
