package llamacpp

import (
	"runtime"
	"testing"
)

func TestBusyTicks(t *testing.T) {
	for stat, want := range map[string]int64{
		"cpu  1 2 4 1000 1000 8 16 32 5 6\ncpu0 9 9\n": 63,
		"cpu  1 2 4\n":                       -1,
		"cpu  1 2 4 1000 1000 8 16 x 5 6\n":  -1,
		"intr 1 2 4 1000 1000 8 16 32 5 6\n": -1,
		"":                                   -1,
	} {
		got, ok := busyTicks([]byte(stat))
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d ticks, want %d", stat, got, want)
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
