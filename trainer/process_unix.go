//go:build unix

package trainer

import "syscall"

func interruptGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGINT) }

func killGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }
