package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// MemoryGroup is a control group of the kernel whose processes get so much memory
// together: their own, the pages of files that are mapped or cached for them, and no
// swap. Who cannot do with it is killed.
type MemoryGroup struct {
	dir  string
	peak string // file that tells the most that was used
}

// NewMemoryGroup makes a group for limit bytes. That takes the rights to do so,
// commonly root's.
func NewMemoryGroup(limit int64) (*MemoryGroup, error) {
	g, err := newMemoryGroup("/sys/fs/cgroup", strconv.FormatInt(limit, 10))
	if err != nil {
		return nil, fmt.Errorf("make a control group: %w", err)
	}
	return g, nil
}

// newMemoryGroup knows both versions of control groups: the kernel's documents
// cgroup-v2 and cgroup-v1/memory.
func newMemoryGroup(root, limit string) (g *MemoryGroup, err error) {
	limits, swap := "memory.max", "0"
	swaps, peak := "memory.swap.max", "memory.peak"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); errors.Is(err, fs.ErrNotExist) {
		root = filepath.Join(root, "memory")
		limits, swap = "memory.limit_in_bytes", limit // counts memory, too
		swaps, peak = "memory.memsw.limit_in_bytes", "memory.max_usage_in_bytes"
	}
	dir, err := os.MkdirTemp(root, "retort-bench-*")
	if err != nil {
		return nil, err
	}
	g = &MemoryGroup{dir, peak}
	err = set(filepath.Join(dir, limits), limit)
	if err == nil {
		err = set(filepath.Join(dir, swaps), swap)
		if errors.Is(err, fs.ErrNotExist) { // the kernel has no swap to account for
			err = nil
		}
	}
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// set writes to a file of the kernel's, which must be there.
func set(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// Dir is what JoinMemoryGroup wants.
func (g *MemoryGroup) Dir() string { return g.dir }

// Peak is the most bytes that the group has had.
func (g *MemoryGroup) Peak() (int64, error) {
	data, err := os.ReadFile(filepath.Join(g.dir, g.peak))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
}

// Close removes the group, whose processes must have ended.
func (g *MemoryGroup) Close() error { return os.Remove(g.dir) }

// JoinMemoryGroup brings this process into the group of dir. What it took before
// counts elsewhere.
func JoinMemoryGroup(dir string) error {
	return set(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(os.Getpid()))
}
