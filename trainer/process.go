package trainer

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// child is a process in a group of its own, together with everything it starts.
type child struct {
	cmd    *exec.Cmd
	stdout *os.File      // its output; ends when the group is gone
	done   chan struct{} // closed when the group is gone; err is valid then
	err    error

	mu     sync.Mutex // held while signalling and while reaping: no signal reaches a reused number
	reaped bool
}

// startChild starts cmd, whose stdout it takes over.
func startChild(cmd *exec.Cmd) (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = w
	ownGroup(cmd)
	c := &child{cmd: cmd, stdout: r, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel ends the child when the thread that started it ends, so
		// this goroutine keeps its thread for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		w.Close()
		started <- err
		if err == nil {
			c.reap()
		}
	}()
	if err := <-started; err != nil {
		r.Close()
		return nil, err
	}
	return c, nil
}

// reap waits for the process to end and kills what it left behind.
func (c *child) reap() {
	awaitExit(c.cmd.Process.Pid)
	c.mu.Lock()
	killGroup(c.cmd.Process.Pid)
	c.err = c.cmd.Wait()
	c.reaped = true
	c.mu.Unlock()
	// Should a process have left the group and kept the pipe, do not wait for it.
	c.stdout.SetReadDeadline(time.Now().Add(time.Second))
	close(c.done)
}

func (c *child) signal(send func(pid int) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		send(c.cmd.Process.Pid) // a group that is already gone is what we want
	}
}

// stopWith ends the group once ctx is cancelled: politely at first, for good
// after grace or when kill is closed. It returns when the group is gone.
func (c *child) stopWith(ctx context.Context, grace time.Duration, kill <-chan struct{}) {
	select {
	case <-c.done:
		return
	case <-ctx.Done():
	}
	c.signal(interruptGroup)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-kill:
	case <-timer.C:
	}
	c.signal(killGroup)
	<-c.done
}

// close ends whatever is left.
func (c *child) close() {
	c.signal(killGroup)
	<-c.done
	c.stdout.Close()
}
