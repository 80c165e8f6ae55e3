//go:build unix

package llamacpp

import (
	"syscall"
	"time"
)

// cpuTime returns the processor time that this process has used: on a busy
// machine it tells more than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
