package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/dgraph-io/ristretto/v2/z"
	"google.golang.org/protobuf/proto"
)

// blockSize is how many bytes Badger puts in a block, about. It reads no packed table
// whose block size it is not told.
const blockSize = 4 << 10

// maxChecksum bounds, in bytes, the encoded checksum of a table's index.
const maxChecksum = 64

// checkTables looks at the end of each of Badger's tables in dir, over which
// Badger would end the process if it was damaged. One that its manifest does not list
// is half a table of a process that was killed: Badger deletes it unread.
func checkTables(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, badgerDir, "*.sst"))
	if err != nil {
		return err
	}
	unlisted := unlistedTables(dir)
	for _, path := range paths {
		if unlisted(path) {
			continue
		}
		if err := checkTable(path); err != nil {
			return err
		}
	}
	return nil
}

// unlistedTables reports of the path of a table whether the manifest is sound and does
// not list it.
func unlistedTables(dir string) func(path string) bool {
	none := func(string) bool { return false }
	f, err := os.Open(filepath.Join(dir, badgerDir, badger.ManifestFilename))
	if err != nil {
		return none
	}
	defer f.Close()
	var manifest badger.Manifest
	err = guard(func() (err error) {
		manifest, _, err = badger.ReplayManifestFile(f, 0, badgerOptions(filepath.Join(dir, badgerDir), &badgerLog{}))
		return err
	})
	if err != nil {
		return none
	}
	return func(path string) bool {
		id, ok := table.ParseFileID(filepath.Base(path))
		_, listed := manifest.Tables[id]
		return ok && !listed
	}
}

// removeEmptyLogs removes those of Badger's logs in dir that hold nothing, over which it
// would not open: a process was killed that had just made one, or was about to remove it.
func removeEmptyLogs(dir string) error {
	var paths []string
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		found, err := filepath.Glob(filepath.Join(dir, badgerDir, pattern))
		if err != nil {
			return err
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err == nil && info.Size() == 0 {
			err = os.Remove(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkTable verifies the index of a table. It stands at the end, followed by its
// length, its checksum, and the checksum's length, each length in 4 bytes, big
// endian (badger/v4/table, Table.initIndex).
func checkTable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	damaged := fileError{badgerDir + "/" + filepath.Base(path), "its index is not readable"}
	before := func(n int64) ([]byte, error) { // the n bytes before end
		if end -= n; end < 0 {
			return nil, damaged
		}
		b := make([]byte, n)
		_, err := io.ReadFull(io.NewSectionReader(f, end, n), b)
		return b, err
	}
	sized := func(limit int64) ([]byte, error) { // what the length before end says
		b, err := before(4)
		if err != nil {
			return nil, err
		}
		n := int64(binary.BigEndian.Uint32(b))
		if n > limit {
			return nil, damaged
		}
		return before(n)
	}
	encoded, err := sized(maxChecksum)
	if err != nil {
		return err
	}
	index, err := sized(end)
	if err != nil {
		return err
	}
	var sum pb.Checksum
	if proto.Unmarshal(encoded, &sum) != nil || sum.Algo != pb.Checksum_CRC32C || y.VerifyChecksum(index, &sum) != nil {
		return damaged
	}
	return nil
}

// tableRecords yields the records in the tables of a Badger that is not opened, as far
// as they are readable, in no order, and some of them twice.
func tableRecords(dir string) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		paths, _ := filepath.Glob(filepath.Join(dir, badgerDir, "*.sst")) // the pattern is right
		for _, path := range paths {
			if checkTable(path) != nil {
				continue
			}
			going := true
			for _, compression := range []options.CompressionType{options.None, options.Snappy} { // Snappy: before format 2
				for _, direction := range []int{0, table.REVERSED} { // each goes up to what is damaged
					_ = guard(func() error { // what cannot be read is lost, and counted as such
						return readTable(path, compression, direction, func(e entry) bool {
							going = yield(e)
							return going
						})
					})
					if !going {
						return
					}
				}
			}
		}
	}
}

func readTable(path string, compression options.CompressionType, direction int, yield func(entry) bool) error {
	f, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close(-1) // closes the table too; DecrRef would delete the file
	t, err := table.OpenTable(f, table.Options{ReadOnly: true, Compression: compression, BlockSize: blockSize, ChkMode: options.OnBlockRead})
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	it := t.NewIterator(table.NOCACHE | direction)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		const deleted = 1 // badger's bitDelete
		v := it.Value()
		if v.Meta&deleted == 0 && !yield(entry{slices.Clone(y.ParseKey(it.Key())), slices.Clone(v.Value)}) {
			break
		}
	}
	return nil
}
