package dataset

import (
	"fmt"
	"strings"
	"sync"
)

// badgerLog is Badger's logger. Badger only logs some of its errors, damage
// among them, and goes on; here they are kept, and the store turns them into
// errors of the calls during which they were logged.
type badgerLog struct {
	mu    sync.Mutex
	count int
	last  string
}

// mark returns how many errors were logged so far, for since.
func (l *badgerLog) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// since returns an error if Badger logged one after the given mark.
func (l *badgerLog) since(mark int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == mark {
		return nil
	}
	return fmt.Errorf("badger reported: %s", l.last)
}

func (l *badgerLog) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	l.last = strings.TrimSpace(fmt.Sprintf(format, args...))
}

// What Badger does not call an error concerns its own housekeeping.
func (l *badgerLog) Warningf(string, ...any) {}
func (l *badgerLog) Infof(string, ...any)    {}
func (l *badgerLog) Debugf(string, ...any)   {}
