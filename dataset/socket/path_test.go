package socket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestServe_letsOnlyTheOwnerIn(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	long := strings.Repeat("long", 30)
	tests := map[string]struct {
		folder string
		mode   fs.FileMode
		here   bool // the socket is in the folder itself
	}{
		"private folder":  {"store", 0o700, true},
		"open folder":     {"store", 0o755, false},
		"long name":       {long, 0o700, false},
		"long, open name": {long, 0o755, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(shortTemp(t), tc.folder)
			s := held(t, dir)
			if err := os.Chmod(dir, tc.mode); err != nil {
				t.Fatal(err)
			}
			srv, c := served(t, dir, s)
			address, err := addressOf(Path(dir))
			if err != nil {
				t.Fatal(err)
			}
			if here := address == Path(dir); here != tc.here {
				t.Errorf("the socket is at %q", address)
			}
			for path, want := range map[string]fs.FileMode{
				address: fs.ModeSocket | 0o600, filepath.Dir(address): fs.ModeDir | 0o700} {
				if info, err := os.Stat(path); err != nil || info.Mode() != want {
					t.Errorf("%q: mode %v, %v; want %v", path, info.Mode(), err, want)
				}
			}
			mustPut(t, c, newExample(1))
			shut(t, srv)
			for _, path := range []string{address, Path(dir)} {
				if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%q is left behind: %v", path, err)
				}
			}
			if _, err := os.Stat(filepath.Dir(address)); !tc.here && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the folder %q is left behind: %v", filepath.Dir(address), err)
			}
		})
	}
}

// dead makes a socket that nobody listens on, as a process leaves it that is
// killed.
func dead(t *testing.T, address string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	shut(t, l)
}

func TestServe_replacesWhatTheDeadLeft(t *testing.T) {
	elsewhere := filepath.Join(shortTemp(t), "retort-1")
	tests := map[string]func(t *testing.T, path string) error{
		"socket":       func(t *testing.T, path string) error { dead(t, path); return nil },
		"empty file":   func(_ *testing.T, path string) error { return os.WriteFile(path, nil, 0o600) },
		"address gone": func(_ *testing.T, path string) error { return os.WriteFile(path, []byte("/nowhere/s"), 0o600) },
		"address": func(t *testing.T, path string) error {
			if err := os.Mkdir(elsewhere, 0o700); err != nil {
				return err
			}
			dead(t, filepath.Join(elsewhere, "socket"))
			return os.WriteFile(path, []byte(filepath.Join(elsewhere, "socket")), 0o600)
		},
	}
	for name, leave := range tests {
		t.Run(name, func(t *testing.T) {
			dir := storeDir(t)
			if err := leave(t, Path(dir)); err != nil {
				t.Fatal(err)
			}
			if _, err := Dial(t.Context(), Path(dir)); !errors.Is(err, ErrUnreachable) {
				t.Errorf("Dial: %v, want ErrUnreachable", err)
			}
			_, c := served(t, dir, held(t, dir))
			mustPut(t, c, newExample(1))
		})
	}
	if _, err := os.Stat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the dead socket is left: %v", err)
	}
}

func TestServe_leavesTheLivingAlone(t *testing.T) {
	dir := storeDir(t)
	_, c := served(t, dir, held(t, dir))
	if _, err := Serve(held(t, storeDir(t)), Path(dir)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second Serve: %v, want EADDRINUSE", err)
	}
	mustPut(t, c, newExample(1))
}

// A folder may be somebody else's, or the copy of one whose store is served from
// elsewhere at this moment.
func TestServe_believesNoAddress(t *testing.T) {
	file := filepath.Join(shortTemp(t), "socket")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := storeDir(t)
	theirs, _ := served(t, other, held(t, other))
	for what, address := range map[string]string{"a file": file, "another store's": Path(other)} {
		dir := storeDir(t)
		if err := os.WriteFile(Path(dir), []byte(address), 0o600); err != nil {
			t.Fatal(err)
		}
		s := held(t, dir)
		_, c := served(t, dir, s)
		mustPut(t, c, newExample(1))
		checkThere(t, s, 1)
		if _, err := os.Lstat(address); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if st, err := theirs.store.Stats(t.Context()); err != nil || st.Total != 0 {
		t.Errorf("the other store has %d examples, %v", st.Total, err)
	}
}

func TestDial_noProcess(t *testing.T) {
	if _, err := Dial(t.Context(), Path(t.TempDir())); !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v, want ErrUnreachable", err)
	}
}

// A store that cannot be served is held all the same.
func TestOpen_withoutSocket(t *testing.T) {
	dir := storeDir(t)
	if err := os.MkdirAll(filepath.Join(Path(dir), "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := shared(t, dir)
	mustPut(t, s, newExample(1))
	if !s.Held() || s.server != nil {
		t.Errorf("held is %v, served is %v", s.Held(), s.server != nil)
	}
}
