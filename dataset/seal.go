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
)

// A seal lists the checksums of all files of a store that was closed cleanly:
//
//	retort seal v1
//	<CRC-32C, 8 hex digits> <size> <path>
//	...
//	<CRC-32C of all lines above>
//
// It is compared before Badger sees the files, because a damaged one can make
// Badger delete others, or end the process. While a store is open it has no
// seal; one without a seal is verified as a whole once Badger has opened it.
const (
	sealFile   = "seal"
	sealHeader = "retort seal v1\n"
)

// writeSeal seals the store in dir, whose files nobody may be changing.
func writeSeal(dir string) error {
	var b strings.Builder
	b.WriteString(sealHeader)
	names, err := sealedFiles(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		line, err := sealLine(dir, name)
		if err != nil {
			return err
		}
		b.WriteString(line)
	}
	fmt.Fprintf(&b, "%08x\n", crc32.Checksum([]byte(b.String()), castagnoli))
	return replaceFile(filepath.Join(dir, sealFile), []byte(b.String()))
}

// checkSeal reports whether dir has a seal. Files that do not agree with it are
// an error that wraps ErrDamaged. A seal that is itself damaged is none.
func checkSeal(dir string) (sealed bool, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, sealFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	lines, ok := openSeal(string(raw))
	if !ok {
		return false, nil
	}
	var wrong []error
	for _, line := range lines {
		name := line[strings.LastIndexByte(line, ' ')+1 : len(line)-1]
		now, err := sealLine(dir, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			wrong = append(wrong, fmt.Errorf("file %q: %w: it is missing", name, ErrDamaged))
		case err != nil:
			return true, err
		case now != line:
			wrong = append(wrong, fmt.Errorf("file %q: %w: it changed since the store was closed", name, ErrDamaged))
		}
	}
	return true, errors.Join(wrong...)
}

// openSeal returns the lines about files, newline included, of an intact seal.
func openSeal(raw string) ([]string, bool) {
	body, ok := strings.CutPrefix(raw, sealHeader)
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
	return syncDir(dir)
}

// sealedFiles lists the files that make up the store, relative to dir.
func sealedFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, badgerDir))
	if err != nil {
		return nil, err
	}
	names := []string{markFile}
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, badgerDir+"/"+e.Name())
		}
	}
	return names, nil
}

func sealLine(dir, name string) (string, error) {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := crc32.New(castagnoli)
	size, err := io.Copy(sum, f)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%08x %d %s\n", sum.Sum32(), size, name), nil
}
