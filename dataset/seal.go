package dataset

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"retort/internal/files"
)

// A seal lists the checksums of all files of a store that was closed cleanly:
//
//	retort seal v2
//	<CRC-32C, 8 hex digits> <size> <path>
//	...
//	<CRC-32C of all lines above>
//
// It is compared before Badger sees the files, because a damaged one can make
// Badger delete others, or end the process. While a store is open it has no
// seal; one without a seal is verified as a whole once Badger has opened it.
//
// Of the journal, which Badger does not see, the last segment is listed so. The
// others are only read when something is amiss, and have "--------" in place of
// a checksum; they carry their own.
const (
	sealFile   = "seal"
	sealHeader = "retort seal v2\n"
	unsummed   = "--------"

	sealHeader1 = "retort seal v1\n" // of format 1, whose seals lack the journal
)

// writeSeal seals the store, whose files nobody may be changing. Badger's tables
// never change, so those that the last seal vouched for are not read again.
func (s *Store) writeSeal() error {
	if err := syncFiles(filepath.Join(s.dir, badgerDir)); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(sealHeader)
	names, err := sealedFiles(s.dir)
	if err != nil {
		return err
	}
	for i, name := range names {
		line, known := s.seal[name]
		if !known || filepath.Ext(name) != ".sst" {
			line, err = sealLine(s.dir, name, isEarlierSegment(names, i))
		}
		if err != nil {
			return err
		}
		b.WriteString(line)
	}
	fmt.Fprintf(&b, "%08x\n", crc32.Checksum([]byte(b.String()), castagnoli))
	return files.Write(filepath.Join(s.dir, sealFile), []byte(b.String()))
}

// isEarlierSegment reports whether names[i] is a segment of the journal that
// another one follows.
func isEarlierSegment(names []string, i int) bool {
	return strings.HasPrefix(names[i], journalDir+"/") && i+1 < len(names)
}

// checkSeal reports whether the store has a seal, and remembers it. Files that do
// not agree with it are an error that wraps ErrDamaged. A seal that is itself
// damaged is none.
func (s *Store) checkSeal() (sealed bool, err error) {
	seal, wrong, err := compareSeal(s.dir)
	if err == nil && len(wrong) > 0 {
		errs := make([]error, len(wrong))
		for i, w := range wrong {
			errs[i] = w
		}
		err = errors.Join(errs...)
	}
	if err == nil {
		s.seal = seal
	}
	return seal != nil, err
}

// fileError says that a file is not what the seal says.
type fileError struct{ name, what string }

func (e fileError) Error() string { return fmt.Sprintf("file %q: %v: %s", e.name, ErrDamaged, e.what) }
func (e fileError) Unwrap() error { return ErrDamaged }

// compareSeal returns the lines of the seal by file, or nil if there is none, and
// what does not agree with it.
func compareSeal(dir string) (seal map[string]string, wrong []fileError, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, sealFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	lines, ok := openSeal(string(raw))
	if !ok {
		return nil, nil, nil
	}
	seal = map[string]string{}
	for _, line := range lines {
		name := line[strings.LastIndexByte(line, ' ')+1 : len(line)-1]
		now, err := sealLine(dir, name, strings.HasPrefix(line, unsummed))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			wrong = append(wrong, fileError{name, "it is missing"})
		case err != nil:
			return nil, nil, err
		case now != line:
			wrong = append(wrong, fileError{name, "it changed since the store was closed"})
		}
		seal[name] = line
	}
	return seal, wrong, nil
}

// openSeal returns the lines about files, newline included, of an intact seal.
func openSeal(raw string) ([]string, bool) {
	body, ok := strings.CutPrefix(raw, sealHeader)
	if !ok {
		body, ok = strings.CutPrefix(raw, sealHeader1)
	}
	if !ok || len(body) < 9 {
		return nil, false
	}
	end := len(raw) - 9
	if fmt.Sprintf("%08x\n", crc32.Checksum([]byte(raw[:end]), castagnoli)) != raw[end:] {
		return nil, false
	}
	var lines []string
	for line := range strings.Lines(body[:len(body)-9]) {
		lines = append(lines, line)
	}
	return lines, true
}

// breakSeal makes sure that no seal outlives a change to the files.
func breakSeal(dir string) error {
	err := os.Remove(filepath.Join(dir, sealFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return files.SyncDir(dir)
}

// sealedFiles lists the files that make up the store, relative to dir, the last
// segment of the journal last.
func sealedFiles(dir string) ([]string, error) {
	names := []string{formatFile}
	for _, folder := range []string{badgerDir, journalDir} {
		entries, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Type().IsRegular() {
				names = append(names, folder+"/"+e.Name())
			}
		}
	}
	return names, nil
}

// sealLine returns what the seal says of a file as it is now.
func sealLine(dir, name string, sizeAlone bool) (string, error) {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return "", err
	}
	defer f.Close()
	if sizeAlone {
		info, err := f.Stat()
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s %d %s\n", unsummed, info.Size(), name), nil
	}
	sum := crc32.New(castagnoli)
	size, err := io.Copy(sum, f)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%08x %d %s\n", sum.Sum32(), size, name), nil
}
