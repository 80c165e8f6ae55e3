package bench

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestUsage_foreign(t *testing.T) {
	start := time.Unix(0, 0)
	for name, tc := range map[string]struct {
		all, ours time.Duration
		want      float64
	}{
		"nobody":           {0, 0, 0},
		"both sides alone": {2 * time.Second, 2 * time.Second, 0},
		"half a core":      {time.Second, 480 * time.Millisecond, 0.25},
		"all":              {2020 * time.Millisecond, 0, 1},
		"a coarse clock":   {time.Second, 1010 * time.Millisecond, 0},
		"a tick each":      {time.Second, 980 * time.Millisecond, 0},
	} {
		u := usage{at: start, cores: 2, all: time.Hour, ours: time.Minute}
		v := usage{at: start.Add(time.Second), cores: 2, all: time.Hour + tc.all, ours: time.Minute + tc.ours}
		if got := u.foreign(v); got != tc.want {
			t.Errorf("%s: %g, want %g", name, got, tc.want)
		}
	}
}

func TestServing_findsTheListenerAndItsChildren(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	got := serving(port)
	if !slices.Contains(got, os.Getpid()) || !slices.Contains(got, child.Process.Pid) || slices.Contains(got, os.Getppid()) {
		t.Errorf("on port %d: processes %v; want %d and %d without %d", port, got, os.Getpid(), child.Process.Pid, os.Getppid())
	}
	l.Close()
	if got := serving(port); len(got) != 0 {
		t.Errorf("after the end: %v", got)
	}
}

func TestReadUsage_countsThisProcess(t *testing.T) {
	u, ok := readUsage(2, []int{os.Getppid()})
	if !ok || u.all <= 0 || u.ours <= 0 {
		t.Errorf("%+v, %t", u, ok)
	}
	resident, proportional, err := Memory([]int{os.Getpid()})
	if err != nil || resident < 1<<20 || proportional <= 0 || proportional > resident {
		t.Errorf("memory %d, %d, %v", resident, proportional, err)
	}
	if m := ReadMachine(); m.CPU == "" || m.Memory == 0 || m.LoadStart == "" {
		t.Errorf("%+v", m)
	}
}
