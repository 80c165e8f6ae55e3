//go:build !linux

package llamacpp

import "runtime"

// physicalCores returns how many processors this process may use. Which of
// them share a core is known on Linux alone.
func physicalCores() int { return runtime.GOMAXPROCS(0) }

// othersRunning returns 0: it can be told on Linux alone.
func othersRunning() int { return 0 }
