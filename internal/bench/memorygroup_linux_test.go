package bench

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
)

// TestMain is also the child that joins a group and takes memory.
func TestMain(m *testing.M) {
	if dir := os.Getenv("MEMORY_GROUP"); dir != "" {
		if err := JoinMemoryGroup(dir); err != nil {
			panic(err)
		}
		size, _ := strconv.Atoi(os.Getenv("MEMORY_TAKEN"))
		taken := make([]byte, size)
		for i := 0; i < size; i += os.Getpagesize() {
			taken[i] = 1
		}
		os.Exit(int(taken[0]) - 1)
	}
	os.Exit(m.Run())
}

func TestMemoryGroup(t *testing.T) {
	const limit = 64 << 20
	for size, fits := range map[int]bool{8 << 20: true, 256 << 20: false} {
		g, err := NewMemoryGroup(limit)
		if err != nil {
			t.Skip(err)
		}
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "MEMORY_GROUP="+g.Dir(), "MEMORY_TAKEN="+strconv.Itoa(size))
		err = child.Run()
		killed := child.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
		if (err == nil) != fits || killed == fits {
			t.Errorf("%d bytes of %d: %v", size, limit, err)
		}
		if peak, err := g.Peak(); err != nil || peak < int64(min(size, limit/2)) || peak > limit+limit/64 {
			t.Errorf("%d bytes of %d: peak %d, %v", size, limit, peak, err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(g.Dir()); err == nil {
			t.Errorf("%s is left", g.Dir())
		}
	}
}
