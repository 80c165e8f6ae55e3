package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// serving returns the processes that listen on a TCP port of this machine, and
// all that descend from them: what a server computes, its children compute too.
func serving(port int) []int {
	sockets := listening("/proc/net/tcp", port)
	sockets = append(sockets, listening("/proc/net/tcp6", port)...)
	if len(sockets) == 0 {
		return nil
	}
	parents, owners := map[int]int{}, map[int]bool{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if f := statFields(pid); len(f) > 1 {
			parents[pid], _ = strconv.Atoi(f[1])
		}
		owners[pid] = holds(dir, sockets)
	}
	var pids []int
	for pid := range parents {
		for p, depth := pid, 0; p > 1 && depth < 64; p, depth = parents[p], depth+1 {
			if owners[p] {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// listening returns the names of the sockets in table that listen on port, as
// the links of a process's descriptors show them.
func listening(table string, port int) []string {
	data, _ := os.ReadFile(table)
	suffix := fmt.Sprintf(":%04X", port)
	var out []string
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[1], suffix) && f[3] == "0A" {
			out = append(out, "socket:["+f[9]+"]")
		}
	}
	return out
}

// holds reports whether the process of a /proc folder has one of sockets open.
func holds(dir string, sockets []string) bool {
	links, _ := filepath.Glob(dir + "/fd/*")
	for _, link := range links {
		target, _ := os.Readlink(link)
		for _, s := range sockets {
			if target == s {
				return true
			}
		}
	}
	return false
}
