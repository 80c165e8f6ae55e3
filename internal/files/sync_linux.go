package files

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// SyncData makes what was written to f durable, and of what is known about it as
// much as reading it takes.
func SyncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
