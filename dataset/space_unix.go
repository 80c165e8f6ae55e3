//go:build unix

package dataset

import (
	"io/fs"
	"syscall"
)

// allocated returns how much disk a file takes, which for a sparse one is less
// than its size.
func allocated(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Blocks) * 512
	}
	return uint64(info.Size())
}
