// Command retort answers with several models at once, keeps what was good, and
// distils it into a small model of your own. `retort help` lists the verbs.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() { os.Exit(run()) }

// run is main without the exit. The first interrupt asks the work to stop and
// tidy up; the second one ends the process at once.
func run() int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // the memory is for models
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel)
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.LookupEnv}
	err := p.app().RunContext(ctx, hoist(p.app(), os.Args))
	return p.report(ctx, err)
}
