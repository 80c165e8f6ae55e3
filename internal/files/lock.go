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
func Lock(path string) (*os.File, error) { return lock(path, true) }

// TryLock is Lock, but fails with ErrLocked instead of waiting. Errors are
// *os.PathError; the operation of those of the locking itself is "lock".
func TryLock(path string) (*os.File, error) { return lock(path, false) }

func lock(path string, wait bool) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, wait); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return f, nil
}
