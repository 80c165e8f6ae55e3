//go:build unix

package trainer

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lock takes the run's lock. The open file is handed to the training process
// as well, so the lock is held for as long as either of them lives. The error
// wraps ErrBusy when somebody else has it.
func (r *Run) lock() (*os.File, error) {
	f, err := os.OpenFile(r.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	// Somebody who only looks (see locked) holds it for an instant.
	for range 10 {
		if err = tryLock(f, syscall.LOCK_EX); !errors.Is(err, syscall.EWOULDBLOCK) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrBusy
	}
	return nil, fmt.Errorf("run %q: %w", r.ID, err)
}

// locked reports whether somebody has the run's lock.
func (r *Run) locked() bool {
	f, err := os.Open(r.path("lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(tryLock(f, syscall.LOCK_SH), syscall.EWOULDBLOCK)
}

func tryLock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
