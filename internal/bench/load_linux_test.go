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
	if got := serving(port); slices.Contains(got, os.Getpid()) || slices.Contains(got, child.Process.Pid) { // the port may be another one's by now
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
	peak, err := PeakMemory()
	own, err2 := OwnMemory()
	if err != nil || err2 != nil || own < 1<<20 || own > peak {
		t.Errorf("own memory %d, %v; peak %d, %v", own, err2, peak, err)
	}
	if m := ReadMachine(); m.CPU == "" || m.Memory == 0 || m.LoadStart == "" {
		t.Errorf("%+v", m)
	}
}

func TestReadUsage_countsChildren(t *testing.T) {
	before, _ := readUsage(1, nil)
	if err := exec.Command("sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done").Run(); err != nil {
		t.Fatal(err)
	}
	after, ok := readUsage(1, nil)
	if used := after.ours - before.ours; !ok || used < 10*time.Millisecond {
		t.Errorf("a child counted as %v", used)
	}
}

func TestReadDisk(t *testing.T) {
	dir := t.TempDir()
	d, known, err := ReadDisk(dir)
	if err != nil || !known || d.Free == 0 {
		t.Errorf("%+v, %t, %v", d, known, err)
	}
	if d, known, err := ReadDisk("/dev/shm"); err == nil && (!known || !d.RAM) {
		t.Errorf("/dev/shm is %+v", d)
	}
	if _, _, err := ReadDisk(dir + "/none"); err == nil {
		t.Error("no error for a folder that is missing")
	}
	if err := os.WriteFile(dir+"/file", []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := DropCache(dir + "/file"); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(dir + "/file"); err != nil || string(text) != "text" {
		t.Errorf("after DropCache: %q, %v", text, err)
	}
}
