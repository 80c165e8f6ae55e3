package dataset

import (
	"context"
	"errors"
	"fmt"

	"retort/dataset/journal"
)

var (
	// errCutOff: a store that was not closed is damaged.
	errCutOff = errors.New("it was not closed")

	// errJournalCut: Badger has what the journal lacks.
	errJournalCut = fmt.Errorf("%w: the journal is not whole", ErrDamaged)
)

// rescue opens a store that was not closed and whose Badger is damaged, as a power
// cut may leave it, once it is written anew from the journal. Where that is not
// whole either, the damage is for Check to report.
func rescue(dir string, opts Options, why error) (*Store, error) {
	c := &checker{Store: newStore(dir, opts), opts: CheckOptions{Stage: func(string) {}}, ctx: context.Background()}
	defer c.abandon()
	if err := c.claim(); err != nil {
		return nil, err
	}
	if err := c.checkJournal(); err != nil {
		return nil, err
	}
	if !c.journalWhole || c.last == 0 {
		return nil, why
	}
	if err := c.room(); err != nil {
		return nil, err
	}
	if err := rebuild(c.ctx, dir, c.last, c.newest(journal.Read)); err != nil {
		return nil, err
	}
	if err := adopt(dir); err != nil {
		return nil, err
	}
	c.abandon()
	s := newStore(dir, opts)
	if err := s.open(); err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}
