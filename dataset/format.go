package dataset

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"retort/internal/files"
)

// The file "format" says how the other files of a store are to be read, and
// which store they are:
//
//	retort store 2 <32 hex digits, drawn when the store was made> <CRC-32C of the line so far>
//
// Format 1 had no such file. Its releases wrote no journal, and a mark in its
// place (migrate.go).
const (
	formatFile = "format"
	format     = 2
)

// storeFormat is what the format file says.
type storeFormat struct {
	Version int
	ID      string // 32 hex digits
}

func newStoreID() string {
	var raw [16]byte
	rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

func (f storeFormat) encode() []byte {
	line := fmt.Sprintf("retort store %d %s ", f.Version, f.ID)
	return fmt.Appendf(nil, "%s%08x\n", line, crc32.Checksum([]byte(line), castagnoli))
}

func writeFormat(dir, id string) error {
	return files.Write(filepath.Join(dir, formatFile), storeFormat{format, id}.encode())
}

// readFormat returns the format of the store in dir: version 0 if there is no
// store. It refuses what a newer program made.
func readFormat(dir string) (storeFormat, error) {
	raw, err := os.ReadFile(filepath.Join(dir, formatFile))
	if errors.Is(err, fs.ErrNotExist) {
		return unnamedFormat(dir)
	}
	if err != nil {
		return storeFormat{}, err
	}
	var f storeFormat
	var sum uint32
	n, err := fmt.Sscanf(string(raw), "retort store %d %s %x", &f.Version, &f.ID, &sum)
	if err != nil || n != 3 || len(f.ID) != 32 || strings.Trim(f.ID, "0123456789abcdef") != "" || string(f.encode()) != string(raw) {
		return storeFormat{}, fileError{formatFile, "it is overwritten"}
	}
	if f.Version > format {
		return storeFormat{}, fmt.Errorf("it has format %d: a newer version of this program made it", f.Version)
	}
	return f, nil
}

// unnamedFormat tells a store of format 1 from none, and from one whose format
// file is missing.
func unnamedFormat(dir string) (storeFormat, error) {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
		return err == nil
	}
	filled := has(badgerDir + "/" + badger.ManifestFilename)
	switch {
	case has(markFile):
		return storeFormat{Version: 1}, nil
	case filled:
		return storeFormat{}, fileError{formatFile, "it is missing"}
	}
	return storeFormat{}, nil
}
