package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"retort/internal/files"
)

// Path is where the socket of the store in dir lies.
func Path(dir string) string { return filepath.Join(dir, "socket") }

// elsewhere begins the name of a folder for temporary files that a socket lies in.
const elsewhere = "retort-"

// maxAddress is how many bytes the address of a socket may take on every system:
// 104 on a Mac, with the zero byte.
const maxAddress = 103

// listen makes the socket for path. Where path is too long for one, others may
// enter its folder, or its file system has no sockets, the socket lies in a new
// folder for temporary files, and path is a file that says where. The caller must hold the store, so whatever is
// left at path was a dead process's; one that answers all the same is an error.
func listen(path string) (l net.Listener, remove func(), err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, nil, err
	}
	if err := clear(path); err != nil {
		return nil, nil, err
	}
	if len(path) <= maxAddress && private(filepath.Dir(path)) {
		if l, err := bind(path); err == nil {
			return l, func() { os.Remove(path) }, nil
		}
	}
	dir, err := os.MkdirTemp("", elsewhere) // mode 0700
	if err != nil {
		return nil, nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	address := filepath.Join(dir, "socket")
	if l, err = bind(address); err != nil {
		remove()
		return nil, nil, err
	}
	if err := files.Write(path, []byte(address)); err != nil {
		l.Close()
		remove()
		return nil, nil, err
	}
	return l, func() { os.Remove(path); os.RemoveAll(dir) }, nil
}

// clear removes what a dead process left at path. Somebody who answers at another
// address serves another store, of which this folder is a copy, and is left alone.
func clear(path string) error {
	address, err := addressOf(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		conn, err := net.DialTimeout("unix", address, time.Second)
		switch {
		case err == nil && address == path:
			conn.Close()
			return fmt.Errorf("socket %q: %w", path, syscall.EADDRINUSE)
		case err == nil:
			conn.Close()
		case address != path && isElsewhere(address):
			os.Remove(address)
			os.Remove(filepath.Dir(address)) // made for it alone; stays if it is not empty
		}
	}
	return os.Remove(path)
}

// isElsewhere reports whether address is of a socket in a folder as listen makes one:
// nothing else is removed because a file names it.
func isElsewhere(address string) bool {
	info, err := os.Lstat(address)
	return err == nil && info.Mode()&fs.ModeSocket != 0 && filepath.Base(address) == "socket" &&
		strings.HasPrefix(filepath.Base(filepath.Dir(address)), elsewhere)
}

// bind makes a socket that its owner alone may connect to. The folder must be
// private, as for a moment the mode is what the umask makes it.
func bind(address string) (net.Listener, error) {
	l, err := net.Listen("unix", address)
	if err != nil || runtime.GOOS == "windows" { // which has no modes
		return l, err
	}
	if err := os.Chmod(address, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// private reports whether nobody but its owner may enter dir.
func private(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && (runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0)
}

// addressOf returns the address of the socket for path, as listen made it.
func addressOf(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return path, err
	}
	address, err := os.ReadFile(path)
	if err == nil && (len(address) > maxAddress || !filepath.IsAbs(string(address))) {
		err = fmt.Errorf("file %q holds no address", path)
	}
	return string(address), err
}
