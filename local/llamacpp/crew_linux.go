package llamacpp

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
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

// othersRunning returns how many threads beside the caller's are running or
// ready to run on this machine now; 0 if that cannot be told.
func othersRunning() int {
	load, err := os.ReadFile("/proc/loadavg") // "0.20 0.18 0.12 1/80 11206"
	if err != nil {
		return 0
	}
	fields := bytes.Fields(load)
	if len(fields) < 4 {
		return 0
	}
	running, _, _ := bytes.Cut(fields[3], []byte("/"))
	n, err := strconv.Atoi(string(running))
	if err != nil {
		return 0
	}
	return max(0, n-1)
}
