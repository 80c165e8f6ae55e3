package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// describe fills in what Linux tells.
func (m *Machine) describe() {
	m.CPU = field("/proc/cpuinfo", "model name")
	m.Memory, _ = kilobytes(field("/proc/meminfo", "MemTotal"))
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.System += " " + strings.TrimSpace(string(release))
	}
	m.LoadStart = loadAverage()
}

// field returns the first value of a "name : value" line.
func field(file, name string) string {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// loadAverage returns the three averages of the run queue. They are shown, not
// judged by: they lag by a minute and count our own work.
func loadAverage() string {
	data, _ := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(data))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// readUsage returns the usage of the machine, of which this process, those it
// started and waited for, and those of pids are ours.
func readUsage(cores int, pids []int) (usage, bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return usage{}, false
	}
	all, ok := busyTicks(stat)
	ours := time.Duration(0)
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		if err := syscall.Getrusage(who, &used); err != nil || !ok {
			return usage{}, false
		}
		ours += time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	for _, pid := range pids {
		ours += processTime(pid)
	}
	return usage{at: time.Now(), cores: cores, all: time.Duration(all) * clockTick, ours: ours}, true
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

// processTime returns the processor time of a process that runs; 0 for one that
// does not.
func processTime(pid int) time.Duration {
	f := statFields(pid)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * clockTick
}

// statFields returns the fields of /proc/PID/stat behind the name, which may
// hold spaces itself: state, parent, and so on.
func statFields(pid int) []string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(data[bytes.LastIndexByte(data, ')')+1:]), " ")
	return strings.Fields(rest)
}

// Memory returns the sum of the resident bytes of processes, and the same with
// each shared page counted once, in parts, by those that share it.
func Memory(pids []int) (resident, proportional int64, err error) {
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		rss, err1 := kilobytes(field(dir+"/smaps_rollup", "Rss"))
		pss, err2 := kilobytes(field(dir+"/smaps_rollup", "Pss"))
		if err := errors.Join(err1, err2); err != nil {
			return 0, 0, fmt.Errorf("memory of process %d: %w", pid, err)
		}
		resident, proportional = resident+rss, proportional+pss
	}
	return resident, proportional, nil
}

// PeakMemory returns the most bytes that this process has had resident. What
// wait4 tells of a child may be its parent's peak, so a child must ask itself.
func PeakMemory() (int64, error) {
	n, err := kilobytes(field("/proc/self/status", "VmHWM"))
	if err != nil {
		return 0, fmt.Errorf("peak memory: %w", err)
	}
	return n, nil
}

// OwnMemory returns the resident bytes of this process that are no part of a file,
// so that the system cannot take them back by forgetting what it can read again.
func OwnMemory() (int64, error) {
	n, err := kilobytes(field("/proc/self/status", "RssAnon"))
	if err != nil {
		return 0, fmt.Errorf("own memory: %w", err)
	}
	return n, nil
}

func kilobytes(s string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, " kB"), 10, 64)
	return n << 10, err
}
