package dataset

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"

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

// checkBadger compares the files with the seal, and if that does not speak
// against it, every record with its version in the journal.
func (c *checker) checkBadger() error {
	c.opts.Stage("reading Badger")
	openable, err := c.compareFiles()
	if err != nil || !openable {
		return err
	}
	if err := c.openToCheck(c.seal != nil); err != nil {
		return c.note(err)
	}
	err = c.compareRecords()
	if err == nil {
		err = guard(c.db.Close)
	}
	if err == nil && len(c.report.Damage) == 0 {
		err = c.writeSeal() // opening has broken it
	}
	return c.note(err)
}

// compareFiles says whether Badger's files are fit to be opened.
func (c *checker) compareFiles() (openable bool, err error) {
	seal, wrong, err := compareSeal(c.dir)
	if err != nil {
		return false, err
	}
	openable = true
	for _, w := range wrong {
		c.damaged(w)
		openable = openable && !strings.HasPrefix(w.name, badgerDir+"/")
		c.journalWhole = c.journalWhole && !strings.HasPrefix(w.name, journalDir+"/")
	}
	if len(wrong) == 0 {
		c.seal = seal
	}
	if _, err := os.Stat(filepath.Join(c.dir, sealFile)); err == nil && seal == nil {
		c.damaged(fileError{sealFile, "it does not agree with itself"})
	}
	manifest := badgerDir + "/" + badger.ManifestFilename
	if _, err := os.Stat(filepath.Join(c.dir, manifest)); openable && errors.Is(err, fs.ErrNotExist) && c.last > 0 {
		c.damaged(fileError{manifest, "it is missing"})
		openable = false
	}
	return openable, nil
}

// openToCheck opens Badger, and brings into it what a crash left in the journal
// alone.
func (c *checker) openToCheck(sealed bool) error {
	err := c.checkSpace(diskUse.toWork)
	if err == nil {
		err = c.prepareFiles(sealed)
	}
	if err == nil {
		err = c.openBadger(c.last > 0)
	}
	if err == nil {
		c.found, err = c.foundState()
	}
	if err == nil && c.found.Changes < c.last {
		c.found, err = c.catchUp(c.found)
	}
	return err
}

// compareRecords checks Badger by itself and against the journal.
func (c *checker) compareRecords() error {
	report, err := c.verify(c.ctx, true)
	if err != nil {
		return err
	}
	c.report.Damage = append(c.report.Damage, report.Damage...)
	sn, err := c.snapshot()
	if err != nil {
		return err
	}
	defer sn.close()
	missing, stale, n := 0, 0, 0
	for e, err := range sn.journalEntries(c.ctx, 0) {
		if err != nil {
			return c.ended(err)
		}
		n++
		switch v := c.versionOf(e); {
		case v.change < e.Change:
			missing++
		case v.change > e.Change || v.sum != crc32.Checksum(e.Data, castagnoli):
			stale++
		}
	}
	if missing > 0 {
		c.journalWhole = false
		c.damaged(fmt.Errorf("the journal lacks %d of %d records: %w", missing, n, ErrDamaged))
	}
	if stale > 0 {
		c.damaged(fmt.Errorf("%d of %d records are older than the journal says, or others: %w", stale, n, ErrDamaged))
	}
	known := c.known()
	if n < known && stale == 0 {
		c.damaged(fmt.Errorf("%d records of the journal are not in Badger: %w", known-n, ErrDamaged))
	}
	c.badgerWhole = len(report.Damage) == 0 && stale == 0 && n >= known
	return nil
}

// ended passes on an error that is no damage; damage is in the report already.
func (c *checker) ended(err error) error {
	if errors.Is(err, ErrDamaged) {
		return nil
	}
	return err
}

func (c *checker) versionOf(e journal.Entry) version {
	if e.Position == 0 {
		if sum, ok := c.queries[e.Change]; ok {
			return version{e.Change, sum}
		}
		return version{}
	}
	if e.Position > uint64(len(c.examples)) {
		return version{}
	}
	return c.examples[e.Position-1]
}

// known is how many records the journal has.
func (c *checker) known() int {
	n := len(c.queries)
	for _, v := range c.examples {
		if v.change > 0 {
			n++
		}
	}
	return n
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
	if err := syncDir(c.dir); err != nil {
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
	_, wrong, _ := compareSeal(c.dir) // without a seal, all tables are tried
	damaged := func(name string) bool {
		return slices.ContainsFunc(wrong, func(w fileError) bool { return w.name == name })
	}
	for e := range tableRecords(c.dir, damaged) {
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
		sn.close()
	}
	return errors.Join(err, s.Close())
}
