package llamacpp

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
	var mine unix.CPUSet
	_ = unix.SchedGetaffinity(0, &mine) // where it fails, the whole machine counts
	all, ok := busyTicks(stat, &mine)
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil || !ok {
		return usage{}, false
	}
	const tick = time.Second / 100 // of the kernel's interface, whatever its clock
	return usage{all: time.Duration(all) * tick, own: time.Duration(own.Utime.Nano() + own.Stime.Nano())}, true
}

// busyTicks returns the ticks in which the processors of mine were not idle, from
// /proc/stat. Others on the machine are not this process's to have: what they do
// takes nothing from it. Where the file numbers processors otherwise, as in some
// containers, all that it lists count.
func busyTicks(stat []byte, mine *unix.CPUSet) (int64, bool) {
	var all, sum int64
	seen, ok := 0, false
	for line := range bytes.Lines(stat) {
		fields := bytes.Fields(line)
		if len(fields) < 9 || !bytes.HasPrefix(fields[0], []byte("cpu")) {
			break
		}
		n, good := lineTicks(fields)
		if !good {
			return 0, false
		}
		cpu, err := strconv.Atoi(string(fields[0][len("cpu"):]))
		switch {
		case err != nil: // the line of all
			all, ok = n, true
		case mine.IsSet(cpu):
			sum += n
			seen++
		}
	}
	if seen > 0 && seen == mine.Count() {
		return sum, ok
	}
	return all, ok
}

// lineTicks sums a line of /proc/stat without the idle ones. Its fields are user,
// nice, system, idle, iowait, irq, softirq, steal, and two that user and nice
// contain.
func lineTicks(fields [][]byte) (sum int64, ok bool) {
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, false
		}
		sum += n
	}
	return sum, true
}
