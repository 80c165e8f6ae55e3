package bench

import (
	"os"

	"golang.org/x/sys/unix"
)

// ReadDisk tells of the file system that holds dir. Other systems than Linux do
// not tell.
func ReadDisk(dir string) (d Disk, known bool, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return d, false, err
	}
	ram := st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC
	return Disk{Free: st.Bavail * uint64(st.Bsize), RAM: ram}, true, nil
}

// DropCache lets the system forget the contents of a file that it keeps in memory,
// so that the next read comes from the disk. What is not written yet stays.
func DropCache(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
