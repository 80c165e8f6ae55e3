package memory

import (
	"runtime"
	"testing"
	"testing/fstest"
)

func TestFree(t *testing.T) {
	const mib = 1 << 20
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for name, tc := range map[string]struct {
		files fstest.MapFS
		want  uint64
		known bool
	}{
		"nothing known": {fstest.MapFS{}, 0, false},
		"no such line":  {fstest.MapFS{"proc/meminfo": file("MemFree: 7 kB\n")}, 0, false},
		"machine":       {fstest.MapFS{"proc/meminfo": file("MemFree: 7 kB\nMemAvailable:   2048 kB\n")}, 2 * mib, true},
		"limit above": {fstest.MapFS{
			"proc/meminfo":                      file("MemAvailable: 999999 kB\n"),
			"proc/self/cgroup":                  file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max":      file("max\n"),
			"sys/fs/cgroup/a/b/memory.current":  file("9\n"),
			"sys/fs/cgroup/a/memory.max":        file("10485760\n"),
			"sys/fs/cgroup/a/memory.current":    file("9437184\n"),
			"sys/fs/cgroup/a/memory.stat":       file("anon 1\ninactive_file 1048576\nactive_file 1048576\n"),
			"sys/fs/cgroup/memory.max.unlikely": file("1\n"),
		}, 3 * mib, true},
		"first version": {fstest.MapFS{
			"proc/meminfo":     file("MemAvailable: 999999 kB\n"),
			"proc/self/cgroup": file("4:cpu,memory:/x\n0::/\n"),
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": file("5242880\n"),
			"sys/fs/cgroup/memory/x/memory.usage_in_bytes": file("6291456\n"),
		}, 0, true},
		"first version, a file that was read twice": {fstest.MapFS{
			"proc/meminfo":     file("MemAvailable: 999999 kB\n"),
			"proc/self/cgroup": file("4:memory:/x\n"),
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": file("5242880\n"),
			"sys/fs/cgroup/memory/x/memory.usage_in_bytes": file("4194304\n"),
			"sys/fs/cgroup/memory/x/memory.stat":           file("active_file 1\ntotal_inactive_file 1048576\ntotal_active_file 2097152\n"),
		}, 4 * mib, true},
	} {
		got, known := free(tc.files)
		if got != tc.want || known != tc.known {
			t.Errorf("%s: %d, %v; want %d, %v", name, got, known, tc.want, tc.known)
		}
	}
}

func TestFree_here(t *testing.T) {
	free, known := Free()
	if known != (runtime.GOOS == "linux") || known && free < 1<<20 {
		t.Errorf("%d bytes free, %v", free, known)
	}
}
