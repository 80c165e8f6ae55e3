package main

import (
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// smallDisk makes a folder that is a file system of its own: smalldisk DIR 40m.
// It goes away with the script.
func smallDisk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: smalldisk DIR SIZE")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(unix.Mount("retort-test", dir, "tmpfs", 0, "mode=0700,size="+args[1]))
	ts.Defer(func() { ts.Check(unix.Unmount(dir, 0)) })
}

// canMount reports whether this process may make file systems.
var canMount = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "retort-mount-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	if err := unix.Mount("retort-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		return false
	}
	return unix.Unmount(dir, 0) == nil
})
