package dataset

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"retort/dataset/journal"
)

// CheckOptions say what Check does. The zero value looks and changes nothing.
type CheckOptions struct {
	// Repair writes a damaged store anew from what is intact of the journal and
	// of Badger together.
	Repair bool

	// Stage is told what begins, for people who wait. It may be nil.
	Stage func(string)
}

// CheckReport is what Check found, and did.
type CheckReport struct {
	Examples uint64   // in Badger and the journal together, as far as they are readable
	Queries  uint64   // of the log of queries, likewise
	Damage   []error  // what was wrong; each wraps ErrDamaged
	Repaired bool     // everything in Damage was made good, but for Lost
	Lost     []string // examples that are intact nowhere, by position and, where it is known, ID
}

// Err returns the damage that is left, as one error, or nil.
func (r CheckReport) Err() error {
	if r.Repaired {
		return nil
	}
	return errors.Join(r.Damage...)
}

// Check reads every byte of the store in dir, which no process may have open,
// and compares what is kept twice: in Badger, and in the journal. With
// CheckOptions.Repair it makes good what is damaged; that takes as much room again
// as the store. The error says that it could not finish, and wraps ErrBusy or
// ErrNoSpace where that is the cause; damage is in the report.
func Check(ctx context.Context, dir string, opts CheckOptions) (CheckReport, error) {
	if opts.Stage == nil {
		opts.Stage = func(string) {}
	}
	c := &checker{Store: newStore(dir, Options{}), opts: opts, ctx: ctx}
	err := c.run()
	c.abandon()
	if err != nil {
		return c.report, fmt.Errorf("check store %q: %w", dir, err)
	}
	return c.report, nil
}

// checker compares the two sides of a closed store.
type checker struct {
	*Store
	ctx    context.Context
	opts   CheckOptions
	report CheckReport

	// what the journal says of each record: index 0 is position 1
	examples []version
	queries  map[uint64]uint32 // checksum of the payload by change
	last     uint64            // change

	journalWhole bool // nothing is missing from it, as far as it can tell alone
	badgerWhole  bool
	found        state // of Badger, if it could be opened
}

// version is what is known of a record: which change wrote it, and the CRC-32C of
// its payload.
type version struct {
	change uint64
	sum    uint32
}

func (c *checker) run() error {
	if _, err := os.Stat(c.dir); err != nil {
		return err
	}
	if err := c.claim(); err != nil {
		return err
	}
	if err := c.checkFormat(); err != nil {
		return err
	}
	if err := c.checkJournal(); err != nil {
		return err
	}
	if err := c.checkBadger(); err != nil {
		return err
	}
	if err := c.checkSmallFiles(); err != nil {
		return err
	}
	c.count()
	if len(c.report.Damage) == 0 || !c.opts.Repair {
		return nil
	}
	return c.repair()
}

func (c *checker) damaged(err error) {
	c.report.Damage = append(c.report.Damage, err)
}

// note adds err to the damage if that is what it is, else it returns it.
func (c *checker) note(err error) error {
	if err = asDamage(err); errors.Is(err, ErrDamaged) {
		c.damaged(err)
		return nil
	}
	return err
}

// checkFormat brings an old store to the present format, which checks it too.
func (c *checker) checkFormat() error {
	f, err := readFormat(c.dir)
	if err == nil && f.Version == 0 {
		return fmt.Errorf("%w: there is no store", fs.ErrNotExist)
	}
	if err == nil && f.Version < format {
		c.opts.Stage("bringing it to the present format")
		err = c.migrate(f.Version)
		c.shutBadger() // it is opened anew to be compared
	}
	return c.note(err)
}

func (c *checker) checkJournal() error {
	c.opts.Stage("reading the journal")
	before := len(c.report.Damage)
	c.queries = map[uint64]uint32{}
	for e, err := range journal.Read(c.ctx, filepath.Join(c.dir, journalDir)) {
		if err != nil {
			if err := c.note(err); err != nil {
				return err
			}
			continue
		}
		c.learn(e)
	}
	torn, err := journal.Torn(filepath.Join(c.dir, journalDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c.journalWhole = len(c.report.Damage) == before && !torn
	return nil
}

// learn remembers the newest version of each record.
func (c *checker) learn(e journal.Entry) {
	c.last = max(c.last, e.Change)
	sum := crc32.Checksum(e.Data, castagnoli)
	if e.Position == 0 {
		c.queries[e.Change] = sum
		return
	}
	if n := int(e.Position); n > len(c.examples) {
		c.examples = append(c.examples, make([]version, n-len(c.examples))...)
	}
	if v := &c.examples[e.Position-1]; e.Change > v.change {
		*v = version{e.Change, sum}
	}
}

// checkSmallFiles looks at what the seal does not list.
func (c *checker) checkSmallFiles() error {
	if _, _, err := readTally(c.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		if err := c.note(fmt.Errorf("file %q: %w", tallyFile, err)); err != nil {
			return err
		}
	}
	f, err := os.Open(filepath.Join(c.dir, reserveFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if size, zero, err := onlyZeros(f); err != nil {
		return err
	} else if size != reserveSize || !zero {
		c.damaged(fileError{reserveFile, "it is not all zeros"})
	}
	return nil
}

func (c *checker) count() {
	c.report.Queries = uint64(len(c.queries))
	for _, v := range c.examples {
		if v.change > 0 && v.sum != goneSums[forgotten] && v.sum != goneSums[lost] {
			c.report.Examples++
		}
	}
	if !c.journalWhole {
		c.report.Examples = max(c.report.Examples, c.found.examples())
	}
}

// goneSums are the checksums of what stands at positions without an example.
var goneSums = map[goneWhy]uint32{
	forgotten: crc32.Checksum(gone{forgotten}.encode(), castagnoli),
	lost:      crc32.Checksum(gone{lost}.encode(), castagnoli),
}
