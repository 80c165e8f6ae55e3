// Package memory tells how much memory this process may still take.
package memory

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// Free returns how many bytes this process may still take: what the machine has
// available, or what is left of the narrowest limit that is set on the process. It
// is false where that is not known, which is so on every system but Linux.
func Free() (uint64, bool) { return free(os.DirFS("/")) }

// free reads the files in which Linux tells it.
func free(root fs.FS) (uint64, bool) {
	info, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, false
	}
	kib, ok := field(info, "MemAvailable:")
	if !ok {
		return 0, false
	}
	least := kib * 1024
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		switch {
		case parts[1] == "":
			least = min(least, groupFree(root, "sys/fs/cgroup", parts[2], "memory.max", "memory.current", ""))
		case strings.Contains(","+parts[1]+",", ",memory,"):
			least = min(least, groupFree(root, "sys/fs/cgroup/memory", parts[2],
				"memory.limit_in_bytes", "memory.usage_in_bytes", "total_"))
		}
	}
	return least, true
}

// groupFree returns the least that is left of the limits on a control group and
// those above it. Files that the kernel has cached for the group count as left,
// those too that it calls active since they were read twice, as a model is: it
// drops them first. What memory.stat counts together with the groups below begins
// with sums.
func groupFree(root fs.FS, base, group, limitFile, usedFile, sums string) uint64 {
	least := ^uint64(0)
	for dir := path.Join(base, group); ; dir = path.Dir(dir) {
		limit, ok := number(root, path.Join(dir, limitFile))
		used, ok2 := number(root, path.Join(dir, usedFile))
		if ok && ok2 {
			stat, _ := fs.ReadFile(root, path.Join(dir, "memory.stat"))
			for _, cached := range []string{"inactive_file", "active_file"} {
				cache, _ := field(stat, sums+cached)
				used -= min(used, cache)
			}
			least = min(least, limit-min(limit, used))
		}
		if len(dir) <= len(base) {
			return least
		}
	}
}

// number reads a file that holds one number; false if it says "max".
func number(root fs.FS, name string) (uint64, bool) {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(data)), 10, 64)
	return n, err == nil
}

// field returns the number behind name in a file with one such pair a line.
func field(data []byte, name string) (uint64, bool) {
	for line := range bytes.Lines(data) {
		if words := bytes.Fields(line); len(words) > 1 && string(words[0]) == name {
			n, err := strconv.ParseUint(string(words[1]), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
