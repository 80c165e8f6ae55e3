//go:build unix && !linux

package trainer

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup puts the command into a process group of its own. Only Linux can end
// it when we die; elsewhere it ends with its next line of output.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// awaitExit waits until pid has ended but leaves it to be reaped, so that its
// number, which is also its group's, is not given to anybody else yet.
func awaitExit(pid int) {
	queue, err := unix.Kqueue()
	if err != nil {
		return
	}
	defer unix.Close(queue)
	watch := make([]unix.Kevent_t, 1)
	unix.SetKevent(&watch[0], pid, unix.EVFILT_PROC, unix.EV_ADD)
	watch[0].Fflags = unix.NOTE_EXIT
	ended := make([]unix.Kevent_t, 1)
	for {
		if _, err := unix.Kevent(queue, watch, ended, nil); !errors.Is(err, unix.EINTR) {
			return // an error here is that it has ended already
		}
	}
}

func processStart(int) string { return "" }
