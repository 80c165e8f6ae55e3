package dataset

import (
	"fmt"
	"path/filepath"
)

// Badger writes through memory maps of sparse files. Where the disk has no
// block left for one, the kernel kills the process by SIGBUS, in a goroutine of
// Badger's that nobody can guard. So there must be room, before each commit,
// for all that Badger may write because of it or at the same time.
const (
	// spaceMargin covers the commit itself (less than 2.4 MiB, twice), what it adds to
	// Badger's small files, and other programs between two looks.
	spaceMargin = 8 << 20

	// maxCompaction bounds what running compactions write before they delete
	// what they read.
	maxCompaction = 256 << 20

	// closeMargin is what Close writes beside the tables.
	closeMargin = 1 << 20
)

// diskUse is what the store's files take, in bytes.
type diskUse struct {
	logs   uint64 // write-ahead logs: to be written once more, as tables
	tables uint64
}

// toWork returns how much must be free for one more commit.
func (u diskUse) toWork() uint64 {
	return u.logs + min(u.logs+u.tables, maxCompaction) + spaceMargin
}

// toClose returns how much must be free for Badger to write its tables.
func (u diskUse) toClose() uint64 { return u.logs + closeMargin }

func measure(dir string) (diskUse, error) {
	var use diskUse
	for info, err := range filesIn(filepath.Join(dir, badgerDir)) {
		if err != nil {
			return use, err
		}
		switch filepath.Ext(info.Name()) {
		case ".mem":
			use.logs += allocated(info)
		case ".sst":
			use.tables += allocated(info)
		}
	}
	return use, nil
}

// checkSpace returns an error that wraps ErrNoSpace when less is free in the
// store than need says.
func (s *Store) checkSpace(need func(diskUse) uint64) error {
	use, err := measure(s.dir)
	if err != nil {
		return err
	}
	free, err := s.free(s.dir)
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	if n := need(use); free < n {
		return fmt.Errorf("%w: %d MiB free, %d MiB needed", ErrNoSpace, free>>20, (n+1<<20-1)>>20)
	}
	return nil
}

// room checks that the disk holds the store once more.
func (s *Store) room() error {
	var size uint64
	for _, name := range []string{badgerDir, journalDir} {
		for info, err := range filesIn(filepath.Join(s.dir, name)) {
			if err != nil {
				return err
			}
			size += allocated(info)
		}
	}
	return s.checkSpace(func(diskUse) uint64 { return size + size/4 + spaceMargin })
}
