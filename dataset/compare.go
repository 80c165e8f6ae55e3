package dataset

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"retort/dataset/journal"
)

// checkBadger compares the files with the seal, and if that does not speak
// against it, every record with its version in the journal. Afterwards Badger is
// closed, whatever was found: a repair replaces its files.
func (c *checker) checkBadger() error {
	defer c.shutBadger()
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
