//go:build !linux

package llamacpp

import "runtime"

// physicalCores returns how many processors this process may use. Which of
// them share a core is known on Linux alone.
func physicalCores() int { return runtime.GOMAXPROCS(0) }

// readUsage returns false: others' usage can be told on Linux alone.
func readUsage() (usage, bool) { return usage{}, false }
