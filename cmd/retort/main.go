// Command retort answers with several models at once, keeps what was good, and
// distils it into a small model of your own. `retort help` lists the verbs.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() { os.Exit(run()) }

// run is main without the exit. The first interrupt, or the end of the terminal, asks
// the work to stop and tidy up; the second interrupt ends the process at once.
func run() int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // the memory is for models
	}
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // by nohup
		signals = append(signals, syscall.SIGHUP)
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // shell and system both send it: only the first counts
	}
	ctx, cancel := signal.NotifyContext(context.Background(), signals...)
	defer cancel()
	context.AfterFunc(ctx, cancel)
	log.SetOutput(io.Discard) // libraries write there, Google's a warning of keys that nobody asked it to look for
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.LookupEnv}
	err := p.app().RunContext(ctx, hoist(p.app(), os.Args))
	return p.report(ctx, err)
}
