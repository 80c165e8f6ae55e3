package dataset

import (
	"io/fs"

	"golang.org/x/sys/windows"
)

// freeSpace returns how many bytes this user may still write in dir.
func freeSpace(dir string) (uint64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(path, &free, nil, nil)
	return free, err
}

// allocated returns how much disk a file takes: Badger's are not sparse here.
func allocated(info fs.FileInfo) uint64 { return uint64(info.Size()) }
