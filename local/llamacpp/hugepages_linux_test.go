package llamacpp

import (
	"bufio"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestParseRegions(t *testing.T) {
	const smaps = `00400000-00a00000 r-xp 00000000 fe:01 123                              /bin/retort
Size:               6144 kB
Rss:                6000 kB
7f0000000000-7f0010000000 rw-p 00000000 00:00 0
Size:             262144 kB
KernelPageSize:        4 kB
Rss:              262140 kB
VmFlags: rd wr mr mw me ac
7f0020000000-7f0020400000 rw-p 00000000 fe:01 9   /lib/libllama.so
Rss:                4096 kB
7f0030000000-7f0030400000 rw-p 00000000 00:00 0      [heap]
Rss:                4096 kB
7f0040000000-7f0040400000 r--p 00000000 00:00 0
Rss:                   0 kB
7f0050000000-7f0050800000 rw-p 00000000 00:00 0
Size:               8192 kB
Rss:                   8 kB
`
	got := parseRegions(bufio.NewScanner(strings.NewReader(smaps)))
	want := []region{{0x7f0000000000, 0x7f0010000000, 262140 << 10}, {0x7f0050000000, 0x7f0050800000, 8 << 10}}
	if !slices.Equal(got, want) {
		t.Errorf("regions %x, want %x", got, want)
	}
}

// TestInHugePages takes memory as the library does, and looks at it afterwards.
func TestInHugePages(t *testing.T) {
	const size = 16 << 20
	// What lies beside it is closed, so that the kernel joins it to no other region.
	space, err := unix.Mmap(-1, 0, size+2*hugePage, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(space) }()
	memory := space[hugePage : hugePage+size]
	err = inHugePages(func() error {
		if err := unix.Mprotect(memory, unix.PROT_READ|unix.PROT_WRITE); err != nil {
			return err
		}
		for i := 0; i < len(memory); i += 1 << 12 {
			memory[i] = byte(i >> 12)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(memory); i += 1 << 12 {
		if memory[i] != byte(i>>12) {
			t.Fatalf("byte %d is %d, want %d: the content changed", i, memory[i], byte(i>>12))
		}
	}
	if n := hugeBytes(t, uintptr(unsafe.Pointer(&memory[0]))); n < size-2*hugePage {
		if err := unix.Madvise(memory[hugePage:size-hugePage], unix.MADV_COLLAPSE); err != nil {
			t.Skipf("this kernel makes no huge pages, or has none left: %v", err)
		}
		t.Errorf("%d of %d bytes are in huge pages", n, size)
	}
}

// TestInHugePages_leavesGoAlone lets Go's heap grow while a model is read.
func TestInHugePages_leavesGoAlone(t *testing.T) {
	const size = 256 << 20
	var memory []byte
	err := inHugePages(func() error {
		memory = make([]byte, size)
		for i := 0; i < size; i += 1 << 12 {
			memory[i] = 1
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The kernel may use huge pages of its own accord; "hg" says that it was asked to.
	if flags := regionLine(t, uintptr(unsafe.Pointer(&memory[0])), "VmFlags:"); slices.Contains(flags, "hg") {
		t.Errorf("the flags of Go's heap are %v: it was to be in huge pages", flags)
	}
	runtime.KeepAlive(memory)
}

// hugeBytes is how much of the region around at the kernel holds in huge pages.
func hugeBytes(t *testing.T, at uintptr) int {
	t.Helper()
	kib, err := strconv.Atoi(regionLine(t, at, "AnonHugePages:")[1])
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// regionLine is the line of smaps that begins with name, for the region around at.
func regionLine(t *testing.T, at uintptr, name string) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if r, ok := parseRange([]byte(fields[0])); ok {
			inside = r.holds(at)
		} else if inside && fields[0] == name {
			return fields
		}
	}
	t.Fatalf("smaps has no %s for %x", name, at)
	return nil
}
