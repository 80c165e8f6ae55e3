package llamacpp

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

const hugePages = true

// The unit that the processor and the kernel call a huge page, and the least
// size of a region that is worth it.
const (
	hugePage  = 2 << 20
	minRegion = 4 << 20
)

// region is a part of this process's memory that belongs to no file.
type region struct {
	start, end uintptr
	resident   uintptr // bytes
}

func (r region) holds(address uintptr) bool { return r.start <= address && address < r.end }

// inHugePages moves what f takes of memory into huge pages. Decoding reads all
// weights for each token, one after the other, and with pages of 4 KB spends up
// to a fifth of its time on finding them. Where the kernel cannot do it all
// stays as it is.
func inHugePages(f func() error) error {
	before := make(map[uintptr]uintptr)
	for _, r := range regions() {
		before[r.start] = r.end
	}
	if err := f(); err != nil {
		return err
	}
	ours := uintptr(unsafe.Pointer(new(region))) // Go's heap may have grown meanwhile, and is Go's to arrange
	for _, r := range regions() {
		if before[r.start] == r.end || r.end-r.start < minRegion || r.holds(ours) {
			continue
		}
		// Of a region that is not full the rest would be taken as well.
		if full := r.resident >= (r.end-r.start)/10*9; full {
			collapse(r)
		}
	}
	return nil
}

// collapse asks the kernel for it by address: a Go pointer to memory of C, made
// from a number, is one that the runtime may refuse.
func collapse(r region) {
	start, end := (r.start+hugePage-1)/hugePage*hugePage, r.end/hugePage*hugePage
	if start >= end {
		return
	}
	if _, _, failed := unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_HUGEPAGE); failed == 0 {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_COLLAPSE) // since Linux 6.1; before, the kernel does it when it has time
	}
}

// regions lists the private memory of this process that no file is behind.
func regions() []region {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseRegions(bufio.NewScanner(f))
}

// parseRegions reads the form of /proc/PID/smaps.
func parseRegions(lines *bufio.Scanner) []region {
	var out []region
	anonymous := false
	for lines.Scan() {
		fields := bytes.Fields(lines.Bytes())
		if len(fields) < 2 {
			continue
		}
		if r, ok := parseRange(fields[0]); ok {
			anonymous = len(fields) == 5 && string(fields[1]) == "rw-p"
			if anonymous {
				out = append(out, r)
			}
			continue
		}
		if anonymous && string(fields[0]) == "Rss:" {
			kib, _ := strconv.ParseUint(string(fields[1]), 10, 64)
			out[len(out)-1].resident = uintptr(kib) << 10
		}
	}
	return out
}

// parseRange reads "7f00-7fff"; false if text is something else.
func parseRange(text []byte) (r region, ok bool) {
	from, to, found := bytes.Cut(text, []byte("-"))
	start, err := strconv.ParseUint(string(from), 16, 64)
	end, err2 := strconv.ParseUint(string(to), 16, 64)
	return region{start: uintptr(start), end: uintptr(end)}, found && err == nil && err2 == nil && start < end
}
