package llamacpp

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// physicalCores returns how many cores this process may use, counting a core
// that runs two threads once: the engine gains nothing from the second.
func physicalCores() int {
	seen := make(map[string]bool)
	files, _ := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list")
	for _, name := range files {
		if siblings, err := os.ReadFile(name); err == nil {
			seen[string(siblings)] = true
		}
	}
	if n := len(seen); n > 0 {
		return min(n, runtime.GOMAXPROCS(0))
	}
	return runtime.GOMAXPROCS(0)
}

// readUsage returns the usage now; false if it cannot be told.
func readUsage() (usage, bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return usage{}, false
	}
	all, ok := busyTicks(stat)
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil || !ok {
		return usage{}, false
	}
	const tick = time.Second / 100 // of the kernel's interface, whatever its clock
	return usage{all: time.Duration(all) * tick, own: time.Duration(own.Utime.Nano() + own.Stime.Nano())}, true
}

// busyTicks sums the first line of /proc/stat without the idle ones. Its fields
// are user, nice, system, idle, iowait, irq, softirq, steal, and two that user
// and nice contain.
func busyTicks(stat []byte) (int64, bool) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, false
	}
	sum := int64(0)
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, false
		}
		sum += n
	}
	return sum, true
}
