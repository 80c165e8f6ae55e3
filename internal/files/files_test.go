package files

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// contents lists what is in dir, by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}

func TestReplace(t *testing.T) {
	broken := errors.New("broken")
	half := func(w io.Writer) error {
		_, err := io.WriteString(w, "ha")
		return errors.Join(err, broken)
	}
	whole := func(w io.Writer) error {
		_, err := io.WriteString(w, "new")
		return err
	}
	for name, tc := range map[string]struct {
		before, want string // "" is no file
		write        func(io.Writer) error
		err          error
	}{
		"new":            {"", "new", whole, nil},
		"replaced":       {"old", "new", whole, nil},
		"half, none yet": {"", "", half, broken},
		"half, old kept": {"old", "old", half, broken},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			if tc.before != "" {
				if err := os.WriteFile(path, []byte(tc.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := Replace(path, tc.write); !errors.Is(err, tc.err) {
				t.Errorf("error %v, want %v", err, tc.err)
			}
			all := contents(t, dir)
			if all["file"] != tc.want {
				t.Errorf("%q, want %q", all["file"], tc.want)
			}
			if delete(all, "file"); len(all) > 0 {
				t.Errorf("left behind: %q", all)
			}
		})
	}
}

func TestReplace_mode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has no such modes")
	}
	path := filepath.Join(t.TempDir(), "file")
	for _, want := range []os.FileMode{0o600, 0o640} {
		if err := Write(path, []byte("x")); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("mode %o, want %o", info.Mode().Perm(), want)
		}
		if err := os.Chmod(path, 0o640); err != nil { // the second Write is to keep it
			t.Fatal(err)
		}
	}
}

// Settings may be kept elsewhere, with a link where they are looked for.
func TestReplace_followsLinks(t *testing.T) {
	dir := t.TempDir()
	link, file := filepath.Join(dir, "link"), filepath.Join(dir, "elsewhere", "file")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("elsewhere", "file"), link); err != nil {
		t.Skip("no links here:", err)
	}
	if err := Write(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v now, %v", info.Mode(), err)
	}
	if data, err := os.ReadFile(file); string(data) != "new" || err != nil {
		t.Errorf("the file holds %q, %v", data, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
		t.Errorf("%v beside the file", left)
	}
}

func TestRemoveRemains(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	broken := errors.New("broken")
	err := Replace(path, func(io.Writer) error { // as if it were killed
		all := contents(t, dir)
		for name := range all {
			if err := os.Link(filepath.Join(dir, name), filepath.Join(dir, "file.0"+name[len("file."):])); err != nil {
				t.Fatal(err)
			}
		}
		return broken
	})
	if !errors.Is(err, broken) || len(contents(t, dir)) != 1 {
		t.Fatalf("%v; left behind: %q", err, contents(t, dir))
	}
	others := []string{"file", "file.tmp", "file.x1.tmp", "file.1.tmp.gz", "file2.1.tmp"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveRemains(path); err != nil {
		t.Fatal(err)
	}
	all := contents(t, dir)
	for _, name := range others {
		if _, there := all[name]; !there {
			t.Errorf("%q is gone", name)
		}
	}
	if len(all) != len(others) {
		t.Errorf("%q are left", all)
	}
	if err := RemoveRemains(filepath.Join(dir, "none", "file")); err != nil {
		t.Error(err)
	}
}

func TestReplace_noFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "file")
	err := Write(path, nil)
	if at := new(os.PathError); !errors.Is(err, os.ErrNotExist) || !errors.As(err, &at) || at.Path != path {
		t.Errorf("error %v, want that %q does not exist", err, path)
	}
}

func TestSHA256(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	// FIPS 180-4, the example of one block.
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got, err := SHA256(path); err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if got, err := SHA256(path + "?"); got != "" || err == nil || !strings.Contains(err.Error(), "file?") {
		t.Errorf("%q, %v of a file that is not there", got, err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TryLock(path); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("second lock: %v, want ErrLocked with the path", err)
	}
	waiting := make(chan error)
	go func() {
		f, err := Lock(path)
		if err == nil {
			err = f.Close()
		}
		waiting <- err
	}()
	select {
	case err := <-waiting:
		t.Fatalf("Lock did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := TryShare(path); !errors.Is(err, ErrLocked) {
		t.Errorf("shared lock: %v, want ErrLocked", err)
	}
	held.Close()
	if err := <-waiting; err != nil {
		t.Error(err)
	}
}

func TestTryShare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for range 2 {
		f, err := TryShare(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if _, err := TryLock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("%v, want ErrLocked", err)
	}
}

func TestFreeSpace(t *testing.T) {
	dir := t.TempDir()
	if free, err := FreeSpace(dir); err != nil || free == 0 {
		t.Errorf("%d bytes free, %v", free, err)
	}
	if _, err := FreeSpace(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want that the folder does not exist", err)
	}
}
