package dataset

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"retort/dataset/journal"
	"retort/internal/files"
)

// repair writes the store anew from the side that is whole, or from what is
// intact of both.
func (c *checker) repair() error {
	c.opts.Stage("writing the store anew")
	if err := c.room(); err != nil {
		return err
	}
	var err error
	switch {
	case c.journalWhole && c.last >= c.found.Changes:
		err = rebuild(c.ctx, c.dir, c.last, c.newest(journal.Read))
	case c.badgerWhole:
		err = c.rebuildFromBadger()
	default:
		err = c.rebuildFromBoth()
	}
	if err != nil {
		return err
	}
	if err := adopt(c.dir); err != nil {
		return err
	}
	if f, err := readFormat(c.dir); err != nil || f.Version != format {
		if err := writeFormat(c.dir, newStoreID()); err != nil {
			return err
		}
	}
	for _, name := range []string{tallyFile, reserveFile, pendingFile} { // the first two are made anew
		if err := os.Remove(filepath.Join(c.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := files.SyncDir(c.dir); err != nil {
		return err
	}
	c.report.Repaired = true
	return c.countRepaired()
}

// newest yields the newest version of each record in the journal, as read gives it.
func (c *checker) newest(read func(context.Context, string) iter.Seq2[journal.Entry, error]) iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		for e, err := range read(c.ctx, filepath.Join(c.dir, journalDir)) {
			if errors.Is(err, journal.ErrDamaged) {
				continue
			}
			if err == nil && c.versionOf(e).change != e.Change {
				continue
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (c *checker) rebuildFromBadger() error {
	if err := c.openBadger(true); err != nil {
		return err
	}
	sn, err := c.snapshot()
	if err == nil {
		err = rebuild(c.ctx, c.dir, sn.state.Changes, sn.journalEntries(c.ctx, 0))
		sn.close()
	}
	return errors.Join(err, guard(c.db.Close))
}

// rebuildFromBoth takes of each record the newest version that is intact
// anywhere. Badger's tables are read one by one: Badger itself may delete what it
// finds damaged.
func (c *checker) rebuildFromBoth() error {
	for e, err := range journal.Salvage(c.ctx, filepath.Join(c.dir, journalDir)) {
		if err == nil {
			c.learn(e)
		} else if !errors.Is(err, journal.ErrDamaged) {
			return err
		}
	}
	newer, ids := c.fromTables()
	nowhere := c.missing(ids)
	return rebuild(c.ctx, c.dir, c.last+uint64(len(nowhere)), func(yield func(journal.Entry, error) bool) {
		for e, err := range c.newest(journal.Salvage) {
			if newer[keyOf(e)].Change <= e.Change && !yield(e, err) {
				return
			}
		}
		for _, e := range newer {
			if !yield(e, nil) {
				return
			}
		}
		for i, position := range nowhere {
			if !yield(journal.Entry{Change: c.last + uint64(i) + 1, Position: position, Data: gone{lost}.encode()}, nil) {
				return
			}
		}
	})
}

// keyOf is the key that Badger has e under.
func keyOf(e journal.Entry) string {
	if e.Position == 0 {
		return string(queryKey(e.Change))
	}
	return string(exampleKey(e.Position))
}

// fromTables returns, by key, what is intact in Badger's tables and newer than in
// the journal, and the IDs that the index knows by position.
func (c *checker) fromTables() (newer map[string]journal.Entry, ids map[uint64]string) {
	newer, ids = map[string]journal.Entry{}, map[uint64]string{}
	for e := range tableRecords(c.dir) {
		if e.key[0] == indexPrefix {
			if position, err := decodeIndex(e.key, e.raw); err == nil {
				ids[position] = idPrefix + hex.EncodeToString(e.key[1:])
			}
			continue
		}
		found := journal.Entry{}
		found.Position, _ = e.position()
		if e.key[0] != examplePrefix && e.key[0] != queryPrefix || (found.Position == 0) != (e.key[0] == queryPrefix) {
			continue
		}
		var err error
		if found.Change, found.Data, err = decodeRecord(e.key, e.raw); err == nil && c.versionOf(found).change < found.Change {
			newer[string(e.key)] = found
			c.learn(found)
		}
	}
	return newer, ids
}

// missing lists the positions that nothing is known of, and reports them lost.
func (c *checker) missing(ids map[uint64]string) (positions []uint64) {
	c.last = max(c.last, c.found.Changes)
	end := max(uint64(len(c.examples)), c.found.Positions)
	for position := range ids {
		end = max(end, position)
	}
	for position := uint64(1); position <= end; position++ {
		if position <= uint64(len(c.examples)) && c.examples[position-1].change > 0 {
			continue
		}
		positions = append(positions, position)
		name := fmt.Sprintf("example %d", position)
		if id, ok := ids[position]; ok {
			name += " " + id
		}
		c.report.Lost = append(c.report.Lost, name)
	}
	return positions
}

// countRepaired opens the store, which verifies it, and counts what is there.
func (c *checker) countRepaired() error {
	c.abandon()
	s, err := Open(c.dir, Options{})
	if err != nil {
		return err
	}
	sn, err := s.snapshot()
	if err == nil {
		c.report.Examples = sn.state.examples()
		var totals queryTotals
		totals, err = readTotals(sn.txn)
		c.report.Queries = totals.Count
		sn.close()
	}
	return errors.Join(err, s.Close())
}
