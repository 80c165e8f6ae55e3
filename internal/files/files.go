// Package files is what several packages do with the disk: files that are there,
// whole, once they have their name; digests, locks and free space.
package files

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Write gives the file at path this content, as Replace does.
func Write(path string, data []byte) error {
	return Replace(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Replace gives the file at path what write writes: on disk and all at once, or
// not at all. Its mode stays, or is 0600 where there was none. A link at path stays,
// too, and what it leads to is replaced. What a crash leaves beside the file has its
// name, with a number and .tmp behind it.
func Replace(path string, write func(io.Writer) error) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp")
	if err != nil {
		if at := new(os.PathError); errors.As(err, &at) {
			at.Path = path // nobody knows the other name
		}
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is nothing of that name
	err = write(f)
	if info, statErr := os.Stat(path); err == nil && statErr == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// RemoveRemains removes what processes that were killed in Replace have left beside the
// file at path, which nobody may be replacing meanwhile.
func RemoveRemains(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		number, ours := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		number, unfinished := strings.CutSuffix(number, ".tmp")
		if !ours || !unfinished || number == "" || strings.Trim(number, "0123456789") != "" {
			continue
		}
		if err := os.Remove(filepath.Join(filepath.Dir(path), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// SyncDir makes the names in dir durable.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it cannot sync folders, and journals their names itself
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// SHA256 returns the digest of the file at path, 64 hex digits.
func SHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
