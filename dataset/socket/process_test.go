package socket

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"retort/dataset"
)

// process is this binary as another process that puts examples.
type process struct {
	cmd   *exec.Cmd
	first int
	acked chan int // closed when it ended
	quit  func() error
}

func start(t *testing.T, dir string, first int) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=put %s %d", childVar, dir, first))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	p := &process{cmd, first, make(chan int, 1<<20), in.Close}
	go func() {
		defer close(p.acked)
		for lines := bufio.NewReader(out); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return // what is left has no end: it was not acknowledged
			}
			if n, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
				p.acked <- n
			}
		}
	}()
	return p
}

// take waits for n more acknowledgements.
func (p *process) take(t *testing.T, n int) (acked []int) {
	t.Helper()
	for range n {
		m, ok := <-p.acked
		if !ok {
			t.Fatalf("process %d ended early", p.cmd.Process.Pid)
		}
		acked = append(acked, m)
	}
	return acked
}

// end returns what was still acknowledged by a process that is about to end.
func (p *process) end(t *testing.T, killed bool) (acked []int) {
	t.Helper()
	for m := range p.acked {
		acked = append(acked, m)
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); errors.As(err, &exit) != killed || err != nil && !killed {
		t.Errorf("process %d: %v", p.cmd.Process.Pid, err)
	}
	return acked
}

// TestProcesses has nine processes put examples at once, kills the one that holds
// the store again and again, and lets the last ones end. All that was
// acknowledged must be there, and those that are left must go on each time.
func TestProcesses(t *testing.T) {
	dir := storeDir(t)
	const processes, span = 9, 1_000_000
	kills := 5
	if testing.Short() {
		kills = 2
	}
	alive := map[int]*process{}
	for i := range processes {
		p := start(t, dir, i*span)
		alive[p.cmd.Process.Pid] = p
	}
	var acked []int
	for range kills {
		for _, p := range alive {
			acked = append(acked, p.take(t, 5)...) // in mid-work, all of them
		}
		pid := holderOf(t, dir)
		p := alive[pid]
		if p == nil {
			t.Fatalf("process %d holds the store, which is none of the test's", pid)
		}
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		acked = append(acked, p.end(t, true)...)
		delete(alive, pid)
		for _, p := range alive { // what they had acknowledged before the kill, and more
			acked = append(acked, p.take(t, len(p.acked)+5)...)
		}
	}
	for _, p := range alive {
		if err := p.quit(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range alive {
		acked = append(acked, p.end(t, false)...)
	}
	t.Logf("%d examples of %d processes were acknowledged, through %d kills", len(acked), processes, kills)
	s := held(t, dir)
	for _, n := range acked {
		checkThere(t, s, n)
	}
	if r, err := s.Verify(t.Context()); err != nil || r.Err() != nil || int(r.Intact) < len(acked) {
		t.Errorf("Verify: %d intact, %v, %v", r.Intact, r.Err(), err)
	}
	if n := len(items(s.All(t.Context(), dataset.Filter{}))); n > len(acked)+processes*(kills+1) {
		t.Errorf("%d examples are there, %d were acknowledged", n, len(acked))
	}
}

func holderOf(t *testing.T, dir string) int {
	t.Helper()
	s := shared(t, dir) // waits until somebody holds it
	c, ok := s.holder.(*Client)
	if !ok {
		t.Fatal("nobody holds the store")
	}
	defer s.Close()
	return c.Owner().PID
}
