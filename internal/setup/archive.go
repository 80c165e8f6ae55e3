package setup

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// errArchive means that an archive holds what it must not, or is cut short.
var errArchive = errors.New("archive refused")

// Bounds of an engine package; the largest known unpacks to 60 MB.
const (
	maxUnpacked = 1 << 30 // bytes
	maxEntries  = 1000
)

// unpackEngine writes the libraries of an npm package, with its description
// and licence, into dir without the package's folders. It refuses names that
// lead outside, links and devices, and anything over limit bytes.
func unpackEngine(ctx context.Context, r io.Reader, dir string, limit int64) error {
	gz, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("%w: %v", errArchive, err)
	}
	archive := tar.NewReader(gz)
	for n := 0; ; n++ {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %v", errArchive, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if limit -= h.Size; limit < 0 || n >= maxEntries {
			return fmt.Errorf("%w: it unpacks to too much", errArchive)
		}
		if err := checkEntry(h); err != nil {
			return err
		}
		name, wanted := engineFile(h.Name)
		if !wanted || h.Typeflag == tar.TypeDir {
			continue
		}
		if err := writeFile(filepath.Join(dir, name), archive); err != nil {
			return unpackError(err)
		}
	}
}

func checkEntry(h *tar.Header) error {
	if !filepath.IsLocal(h.Name) {
		return fmt.Errorf("%w: %q leads outside", errArchive, h.Name)
	}
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
		return fmt.Errorf("%w: %q is neither file nor folder", errArchive, h.Name)
	}
	return nil
}

// unpackError calls a damaged archive by its name; what the disk says passes.
func unpackError(err error) error {
	var onDisk *os.PathError
	if errors.As(err, &onDisk) || isDiskFull(err) {
		return err
	}
	return fmt.Errorf("%w: %v", errArchive, err)
}

// engineFile returns the name under which a file of the package is kept:
// package/bins/<platform>/* without what only Node loads or links.
func engineFile(name string) (base string, wanted bool) {
	base = path.Base(name)
	switch path.Ext(base) {
	case ".node", ".lib":
		return base, false
	}
	elements := strings.Split(path.Clean(name), "/")
	switch {
	case len(elements) == 4 && elements[1] == "bins":
		return base, true
	case len(elements) == 2 && (base == "LICENSE" || base == "package.json"):
		return base, true
	}
	return base, false
}

// extractMember writes one file of the zip archive at path to dest, whole or
// not at all. It refuses a file of more than limit bytes.
func extractMember(ctx context.Context, path, member, dest string, limit int64) error {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return unpackError(err)
	}
	defer archive.Close()
	for _, f := range archive.File {
		if f.Name != member {
			continue
		}
		if !f.Mode().IsRegular() || f.UncompressedSize64 > uint64(limit) {
			return fmt.Errorf("%w: %q is no file of at most %d bytes", errArchive, member, limit)
		}
		r, err := f.Open()
		if err != nil {
			return unpackError(err)
		}
		defer r.Close()
		// The reader ends at the size in the header, and checks the CRC there.
		if err := writeFile(dest, counted(ctx, r, Silent{})); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return unpackError(err)
		}
		return nil
	}
	return fmt.Errorf("%w: %q is not in it", errArchive, member)
}
