package llamacpp

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBusyTicks(t *testing.T) {
	for stat, want := range map[string]int64{
		"cpu  1 2 4 1000 1000 8 16 32 5 6\ncpu0 9 9\n": 63,
		"cpu  1 2 4\n":                       -1,
		"cpu  1 2 4 1000 1000 8 16 x 5 6\n":  -1,
		"intr 1 2 4 1000 1000 8 16 32 5 6\n": -1,
		"":                                   -1,
	} {
		got, ok := busyTicks([]byte(stat), new(unix.CPUSet))
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d ticks, want %d", stat, got, want)
		}
	}
}

// TestBusyTicks_ofItsOwnProcessors has a process that may use some processors of a
// machine whose others are busy.
func TestBusyTicks_ofItsOwnProcessors(t *testing.T) {
	const stat = "cpu  1110 0 0 900 0 0 0 0 0 0\ncpu0 10 0 0 300 0 0 0 0 0 0\n" +
		"cpu1 1000 0 0 300 0 0 0 0 0 0\ncpu2 100 0 0 300 0 0 0 0 0 0\nintr 7\n"
	for _, tc := range []struct {
		mine []int
		want int64
	}{{[]int{0, 2}, 110}, {[]int{0, 1, 2}, 1110}, {[]int{2, 3}, 1110}} {
		var set unix.CPUSet
		for _, cpu := range tc.mine {
			set.Set(cpu)
		}
		if got, ok := busyTicks([]byte(stat), &set); got != tc.want || !ok {
			t.Errorf("processors %v: %d ticks, %v; want %d", tc.mine, got, ok, tc.want)
		}
	}
}

func TestReadUsage(t *testing.T) {
	u, ok := readUsage()
	if !ok || u.all <= 0 || u.own <= 0 {
		t.Errorf("usage = %+v, %v", u, ok)
	}
	if n := physicalCores(); n < 1 || n > runtime.NumCPU() {
		t.Errorf("%d physical cores of %d", n, runtime.NumCPU())
	}
}
