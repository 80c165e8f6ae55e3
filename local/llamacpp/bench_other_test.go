//go:build !unix

package llamacpp

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
