package dataset

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The reserve is a file of zeros that is given up when other programs have filled
// the disk, so that a store with unwritten logs can still be closed or opened.
// There is none on a disk that it would fill by more than a sixteenth.
const (
	reserveFile = "reserve"
	reserveSize = 24 << 20 // bytes; about what two full logs take
)

// makeRoom makes the reserve if there is much room, gives it up if there is too
// little, and says if that is still too little to work.
func (s *Store) makeRoom() error {
	err := s.checkSpace(diskUse.toWork)
	if err != nil {
		return s.useReserve(diskUse.toWork, err)
	}
	path := filepath.Join(s.dir, reserveFile)
	if info, err := os.Stat(path); err == nil && info.Size() == reserveSize { // else a power cut has shortened it
		return nil
	}
	free, err := s.free(s.dir)
	if err != nil || free < 16*reserveSize {
		return err
	}
	return writeReserve(path)
}

// writeReserve makes the reserve whole or, when the process is killed meanwhile, not
// at all.
func writeReserve(path string) error {
	f, err := os.OpenFile(path+unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, zeros{}, reserveSize)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+unfinished, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path+unfinished))
	}
	return nil
}

// useReserve gives up the reserve and checks again. why is what was found before.
func (s *Store) useReserve(need func(diskUse) uint64, why error) error {
	err := os.Remove(filepath.Join(s.dir, reserveFile))
	if errors.Is(err, fs.ErrNotExist) {
		return why
	}
	if err != nil {
		return err
	}
	return s.checkSpace(need)
}

// onlyZeros reads r to its end, and says how long it is and whether it is a
// reserve as it was written.
func onlyZeros(r io.Reader) (size int64, zero bool, err error) {
	buf := make([]byte, 64<<10)
	zero = true
	for {
		n, err := r.Read(buf)
		size += int64(n)
		zero = zero && len(bytes.Trim(buf[:n], "\x00")) == 0
		if errors.Is(err, io.EOF) {
			return size, zero, nil
		}
		if err != nil {
			return size, false, err
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
