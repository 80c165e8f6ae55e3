package journal

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// Where the disk has no room for zeros, groups go on without, up to the last byte.
func TestJournal_onAFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=800k"); err != nil {
		t.Skipf("mounting a small disk needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(disk, "journal")
	j := mustOpen(t, dir, maxSegment)
	var want []Entry
	var err error
	for err == nil {
		group := entries(int(j.Last())+1, 3)
		if err = j.Append(group); err == nil {
			want = append(want, group...)
		}
	}
	if !errors.Is(err, syscall.ENOSPC) || j.Broken() != nil {
		t.Fatalf("%v, want ENOSPC; broken: %v", err, j.Broken())
	}
	if j.size < 700<<10 {
		t.Errorf("full after %d bytes of groups", j.size)
	}
	same(t, whole(t, dir), want)
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=4m"); err != nil {
		t.Fatal(err)
	}
	want = append(want, fill(t, j, 5)...)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, whole(t, dir), want)
}
