package dataset

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// oneLevel is how many bytes of tables lie on one level, behind those that were
// written last. Examples come in the order of their keys, so each is moved there
// once, and not again from level to level: that makes imports faster, by a third at
// 300,000 examples and by 62 % at a million. What it costs is that changes to many
// examples all over a store move all of it, hence the bound.
const oneLevel = 4 << 30

func badgerOptions(dir string, log badger.Logger) badger.Options {
	opts := badger.DefaultOptions(dir).
		WithLogger(log).
		WithMetricsEnabled(false).
		WithSyncWrites(false).         // the journal is synced, and makes good what a power cut takes
		WithDetectConflicts(false).    // one goroutine writes
		WithCompression(options.None). // it takes more time and memory than the disk is worth
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMemTableSize(16 << 20).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithBlockCacheSize(16 << 20).
		WithValueThreshold(1 << 20).   // above MaxExampleSize: values stay in the tables
		WithValueLogFileSize(1 << 20). // hence not used; the least that Badger allows
		WithBaseTableSize(16 << 20).
		WithBaseLevelSize(oneLevel)
	// Tables of one size on all levels: those of the lowest one would have 64 times as
	// much, and several of them are built in memory at the same time.
	opts.TableSizeMultiplier = 1
	return opts
}

// openBadger opens Badger; known says that it could be opened before.
func (s *Store) openBadger(known bool) error {
	return s.openBadgerWith(badgerOptions(filepath.Join(s.dir, badgerDir), s.log), known)
}

func (s *Store) openBadgerWith(opts badger.Options, known bool) error {
	errs := s.log.mark()
	err := guard(func() error {
		db, err := badger.Open(opts)
		if err == nil { // else db may be one that was never finished
			s.db = db
		}
		return err
	})
	if err == nil {
		err = s.log.since(errs)
	}
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "directory lock"), strings.Contains(err.Error(), "lock file"):
		return fmt.Errorf("%w: %w", ErrBusy, err) // Badger has no sentinel of its own
	case known:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}
