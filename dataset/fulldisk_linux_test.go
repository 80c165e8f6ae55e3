package dataset_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"retort/dataset"
)

func init() {
	children["fill"] = fillDisk
	children["cram"] = fillAndClose
}

// smallDisk mounts one of 40 MiB. Whoever writes to it runs in a child: a store
// that misjudges the space dies of SIGBUS.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=40m"); err != nil {
		t.Skipf("mounting a small disk needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// bulky makes the n-th example, of about 20 KiB that do not compress.
func bulky(n int) dataset.Example {
	ex := newExample(n)
	noise := make([]byte, 15<<10)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(noise)
	ex.Response = base64.StdEncoding.EncodeToString(noise)
	return ex
}

// fillSession puts examples until it is refused or has put n, and prints how
// many are acknowledged in all.
func fillSession(s *dataset.Store, acked *int, n int) error {
	for range n {
		if _, err := s.Put(context.Background(), bulky(*acked)); err != nil {
			return err
		}
		*acked++
	}
	return nil
}

// fillDisk opens, fills and closes the store until the disk is full.
func fillDisk(dir string, perSession int) error {
	acked := 0
	for {
		s, err := dataset.Open(dir, dataset.Options{})
		if err == nil {
			err = fillSession(s, &acked, perSession)
			if closeErr := s.Close(); closeErr != nil {
				return closeErr
			}
		}
		if errors.Is(err, dataset.ErrNoSpace) {
			fmt.Println(acked)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fillAndClose fills the disk, lets the parent take the rest of it, and checks
// that the store can still be read and left.
func fillAndClose(dir string, n int) error {
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		return err
	}
	acked := 0
	if err := fillSession(s, &acked, n); !errors.Is(err, dataset.ErrNoSpace) {
		return fmt.Errorf("refused with %w, want ErrNoSpace", err)
	}
	fmt.Println(acked)
	bufio.NewReader(os.Stdin).ReadString('\n')
	if _, err := s.Put(context.Background(), bulky(acked)); !errors.Is(err, dataset.ErrNoSpace) {
		return fmt.Errorf("put on a full disk: %w, want ErrNoSpace", err)
	}
	if st, err := s.Stats(context.Background()); st.Total != acked || err != nil {
		return fmt.Errorf("%d of %d examples on a full disk: %w", st.Total, acked, err)
	}
	if err := s.Close(); !errors.Is(err, dataset.ErrNoSpace) {
		return fmt.Errorf("close on a full disk: %w, want ErrNoSpace", err)
	}
	return nil
}

// checkBulky checks that the store has the first n examples, and takes more.
func checkBulky(t *testing.T, dir string, n int) {
	t.Helper()
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, s)
	all := list(t, s, dataset.Filter{})
	if len(all) != n {
		t.Errorf("%d examples, want %d", len(all), n)
	}
	for i, ex := range all {
		if ex.Response != bulky(i).Response || ex.ID != dataset.Identify(ex).ID {
			t.Errorf("example %d is not what was written", i)
		}
	}
}

// checkReadable checks that the first n examples can be read from the full disk,
// and that nothing can be added.
func checkReadable(t *testing.T, dir string, n int) {
	t.Helper()
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, s)
	if all := list(t, s, dataset.Filter{}); len(all) != n {
		t.Errorf("%d examples on the full disk, want %d", len(all), n)
	}
	if _, err := s.Put(t.Context(), bulky(n)); !errors.Is(err, dataset.ErrNoSpace) {
		t.Errorf("Put on the full disk: %v, want ErrNoSpace", err)
	}
}

func TestStore_survivesAFullDisk(t *testing.T) {
	for name, perSession := range map[string]int{"one session": 1 << 20, "sessions of 4 MiB": 200, "sessions of 400 KiB": 20} {
		t.Run(name, func(t *testing.T) {
			disk := smallDisk(t)
			dir := filepath.Join(disk, "store")
			out, err := child(t, "fill", dir, perSession).Output()
			if err != nil {
				t.Fatalf("the child: %v", err)
			}
			acked := 0
			fmt.Sscan(string(out), &acked)
			if acked < 200 {
				t.Errorf("refused after %d examples: too early to be of use", acked)
			}
			t.Logf("refused after %d examples, about %d MiB", acked, acked*20>>10)
			junk := filepath.Join(disk, "junk")
			takeAll(t, junk)
			checkReadable(t, dir, acked)
			if err := os.Remove(junk); err != nil {
				t.Fatal(err)
			}
			resize(t, disk, "120m")
			checkBulky(t, dir, acked)
		})
	}
}

func TestStore_survivesADiskFilledByOthers(t *testing.T) {
	disk := smallDisk(t)
	dir := filepath.Join(disk, "store")
	cmd := child(t, "cram", dir, 1<<20)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := 0
	fmt.Fscan(out, &acked)
	junk := filepath.Join(disk, "junk")
	takeAll(t, junk)
	io.WriteString(in, "full\n")
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the child: %v", err)
	}
	if _, err := dataset.Open(dir, dataset.Options{}); !errors.Is(err, dataset.ErrNoSpace) {
		t.Errorf("Open on a full disk: %v, want ErrNoSpace", err)
	}
	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	resize(t, disk, "120m")
	checkBulky(t, dir, acked)
}

func takeAll(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(page)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func resize(t *testing.T, disk, size string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size="+size); err != nil {
		t.Fatal(err)
	}
}
