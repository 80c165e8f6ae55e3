package files

import (
	"errors"
	"os"
)

// ErrLocked: somebody else has the lock.
var ErrLocked = errors.New("locked by another process")

// Lock takes the file at path, which it makes if it is not there, for the holder
// of what it returns: until that is closed, be it by the end of the process. It
// waits while somebody else has it.
func Lock(path string) (*os.File, error) { return lock(path, exclusive, true) }

// TryLock is Lock, but fails with ErrLocked instead of waiting. Errors are
// *os.PathError; the operation of those of the locking itself is "lock".
func TryLock(path string) (*os.File, error) { return lock(path, exclusive, false) }

// TryShare is TryLock, but any number can have the lock in this way at a time, as
// long as nobody has it alone.
func TryShare(path string) (*os.File, error) { return lock(path, shared, false) }

// lockKind says whether others may have the lock at the same time.
type lockKind bool

const (
	exclusive lockKind = false
	shared    lockKind = true
)

func lock(path string, kind lockKind, wait bool) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, kind, wait); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return f, nil
}
