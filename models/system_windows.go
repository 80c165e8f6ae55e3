package models

import (
	"os"

	"golang.org/x/sys/windows"
)

// flock waits until f is locked by nobody else, and locks it until it is
// closed, be it by the end of the process.
func flock(f *os.File) error { return lockFileEx(f, windows.LOCKFILE_EXCLUSIVE_LOCK) }

// tryFlock is flock, but fails instead of waiting.
func tryFlock(f *os.File) error {
	return lockFileEx(f, windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY)
}

func lockFileEx(f *os.File, flags uint32) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
}

// syncDir does nothing: Windows has no call that syncs a folder.
func syncDir(string) error { return nil }

// freeSpace returns the bytes that may still be written below dir.
func freeSpace(dir string) (uint64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(path, &free, nil, nil)
	return free, err
}
