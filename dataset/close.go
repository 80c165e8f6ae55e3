package dataset

import (
	"context"
	"errors"
	"fmt"
)

// Close waits for the calls in progress and closes the store. Where the disk is
// too full for that, Badger's files stay as they are, and the error wraps
// ErrNoSpace: nothing is lost, but this process cannot open the store again.
// Where examples were forgotten, Close writes the files anew.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.calls.Wait()
	s.committer.stop()
	err := s.close()
	s.release()
	if err != nil {
		return fmt.Errorf("close store %q: %w", s.dir, err)
	}
	return nil
}

func (s *Store) close() error {
	if s.readOnly != nil {
		return guard(s.db.Close)
	}
	if err := s.checkSpace(diskUse.toClose); err != nil {
		if err = s.useReserve(diskUse.toClose, err); err != nil {
			return err
		}
	}
	if s.committer.broken == nil {
		_ = s.sums.save(s.dir, s.committer.state) // without it the next Stats takes longer, nothing worse
		pending, err := isPending(s.dir)
		if err != nil {
			return err
		}
		if pending {
			return s.closeCompacted()
		}
	}
	return s.closeBadger()
}

// closeCompacted writes the store anew and closes it. Where there is no room, it
// is closed as it is, which is an error only for those who have just forgotten
// something: it is tried again each time.
func (s *Store) closeCompacted() error {
	if err := s.room(); errors.Is(err, ErrNoSpace) {
		if !s.forgot.Load() {
			err = nil
		}
		return errors.Join(err, s.closeBadger())
	}
	if err := s.compact(context.Background()); err != nil {
		return err
	}
	_ = s.writeSeal() // as in closeBadger
	return nil
}

func (s *Store) closeBadger() error {
	errs := s.log.mark()
	err := guard(s.db.Close)
	if err == nil {
		err = s.log.since(errs)
	}
	if err == nil && s.committer.broken == nil {
		err = s.journal.Close()
	}
	if err == nil && s.committer.broken == nil {
		// Without a seal the next Open takes longer, nothing worse.
		_ = s.writeSeal()
	}
	return err
}

// abandon lets go of everything after an error.
func (s *Store) abandon() {
	if s.committer != nil {
		s.committer.stop()
	}
	s.shutBadger()
	s.release()
}

// shutBadger closes Badger after an error, which is to be reported already.
func (s *Store) shutBadger() {
	if s.db != nil && !s.db.IsClosed() {
		_ = guard(s.db.Close)
	}
}

// release lets go of what is held beside Badger.
func (s *Store) release() {
	if s.journal != nil {
		s.journal.Close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
}
