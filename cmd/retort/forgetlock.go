package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"retort/internal/files"
)

// copying is called before examples are read that are to be copied to where a
// forgetting looks for them: an export, a selection, a run, a distil job. None is
// under way from then on until done is called, when the copy is to be found; done
// may be called again.
func (r *retort) copying(ctx context.Context) (done func(), err error) {
	return r.lockForgetting(ctx, files.TryShare, "waiting for `retort examples forget` in another process")
}

// forgetting is called before a forgetting looks for copies of examples. None is
// made from then on until done is called.
func (r *retort) forgetting(ctx context.Context) (done func(), err error) {
	return r.lockForgetting(ctx, files.TryLock, "waiting for another process, which copies examples or forgets some")
}

// lockForgetting waits in turn: else copies that overlap could keep a forgetting
// out for good.
func (r *retort) lockForgetting(ctx context.Context, try func(path string) (*os.File, error), waiting string) (done func(), err error) {
	if err := os.MkdirAll(r.path(), 0o700); err != nil {
		return nil, err
	}
	note := sync.OnceFunc(func() { r.note("%s", waiting) })
	turn, err := lockWhenFree(ctx, try, r.path("forgetting.turn"), note)
	if err != nil {
		return nil, err
	}
	defer turn.Close()
	lock, err := lockWhenFree(ctx, try, r.path("forgetting.lock"), note)
	if err != nil {
		return nil, err
	}
	return func() { lock.Close() }, nil
}

// lockWhenFree tries until it has the lock at path, and calls locked where others have it.
func lockWhenFree(ctx context.Context, try func(path string) (*os.File, error), path string, locked func()) (*os.File, error) {
	const pause = 50 * time.Millisecond
	for {
		lock, err := try(path)
		if !errors.Is(err, files.ErrLocked) {
			return lock, err
		}
		locked()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
