package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"retort/internal/files"
)

// Journal appends to the last segment. It is for one goroutine.
type Journal struct {
	dir     string
	f       *os.File
	number  int
	size    int64 // bytes, of whole groups
	room    int64 // bytes, of the file: zeros follow the groups
	entries uint64
	last    uint64
	buf     []byte
	limit   int64 // maxSegment, but for tests
	broken  error // set for good when it is unknown what is on disk
}

// Open opens the journal in dir for appending, and makes one where there is
// none. A torn end is cut off. It reads the last segment alone; the error wraps
// ErrDamaged if that is damaged, or any is missing.
func Open(dir string) (*Journal, error) {
	j, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("open journal %q: %w", dir, err)
	}
	return j, nil
}

func open(dir string) (*Journal, error) {
	j := &Journal{dir: dir, limit: maxSegment}
	numbers, err := segments(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		err = files.SyncDir(filepath.Dir(dir))
	}
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		return j, j.begin(1)
	}
	j.number = numbers[len(numbers)-1]
	if len(numbers) != j.number {
		return nil, fmt.Errorf("%w: %d of %d segments are there", ErrDamaged, len(numbers), j.number)
	}
	return j, j.resume()
}

// resume goes on where the last segment ends.
func (j *Journal) resume() error {
	before := headerOf(j.dir, j.number).After
	var damage []error
	s := &scan{final: true, yield: func(_ Entry, err error) bool {
		if err != nil {
			damage = append(damage, err)
		}
		return true
	}}
	path := filepath.Join(j.dir, segmentName(j.number))
	s.run(path, j.number, before)
	if err := errors.Join(damage...); err != nil {
		return err
	}
	j.last, j.size, j.entries = s.last, s.end, s.entries
	if s.footed {
		return j.begin(j.number + 1)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	j.f = f
	if s.end == 0 { // not even its header is whole
		if j.number > 1 {
			return errors.Join(f.Close(), j.restart())
		}
		f.Close()
		return j.begin(1)
	}
	return j.cut()
}

// restart begins the last segment anew: only its name was on disk.
func (j *Journal) restart() error {
	var damage []error
	s := &scan{yield: func(_ Entry, err error) bool {
		if err != nil {
			damage = append(damage, err)
		}
		return true
	}}
	before := j.number - 1
	s.run(filepath.Join(j.dir, segmentName(before)), before, headerOf(j.dir, before).After)
	if err := errors.Join(damage...); err != nil {
		return err
	}
	j.last = s.last
	return j.begin(j.number)
}

// begin makes the segment with the given number and goes on there. On failure the
// journal is as it was.
func (j *Journal) begin(number int) error {
	path := filepath.Join(j.dir, segmentName(number))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	first := header{segment: number, after: j.last}.append(nil)
	_, err = f.Write(first)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = files.SyncDir(j.dir)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	if j.f != nil {
		j.f.Close() // synced, with its footer
	}
	j.f, j.number, j.size, j.entries = f, number, int64(len(first)), 0
	j.room = j.size
	return nil
}

// Last returns the number of the last change.
func (j *Journal) Last() uint64 { return j.last }

// Append adds entries as one group and returns once they are on disk. Their
// changes must follow upon Last without gaps. After an error the group is not in
// the journal; if even that is unknown, every later call fails.
func (j *Journal) Append(entries []Entry) error {
	if j.broken != nil {
		return j.broken
	}
	if err := j.append(entries); err != nil {
		return fmt.Errorf("append to journal %q: %w", j.dir, err)
	}
	return nil
}

func (j *Journal) append(entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := check(entries, j.last); err != nil {
		return err
	}
	if j.size >= j.limit {
		if err := j.rotate(); err != nil {
			return err
		}
	}
	group := entries[len(entries)-1].Change
	j.buf = j.buf[:0]
	for _, e := range entries {
		j.buf = appendEntry(j.buf, e, group)
	}
	if err := j.makeRoom(len(j.buf)); err != nil {
		return err
	}
	if err := j.write(j.buf); err != nil {
		return err
	}
	j.size, j.entries, j.last = j.size+int64(len(j.buf)), j.entries+uint64(len(entries)), group
	return nil
}

// check refuses what Read would call damage.
func check(entries []Entry, last uint64) error {
	for _, e := range entries {
		if last++; e.Change != last {
			return fmt.Errorf("change %d follows upon %d", e.Change, last-1)
		}
		if len(e.Data) == 0 || bytes.IndexByte(e.Data, '\n') >= 0 {
			return fmt.Errorf("change %d is not one line of JSON", e.Change)
		}
	}
	return nil
}

const (
	// ahead is how many zeros are put behind the groups. Overwriting them changes
	// neither the size of the file nor where it lies, so that a sync writes the
	// data and nothing else: with ext4 it takes two thirds of the time.
	ahead = 512 << 10

	// small is the size, in bytes, of groups that profit by it.
	small = ahead / 8
)

var zeros [ahead]byte

// makeRoom puts zeros where the next groups will be if one of n bytes has none to
// overwrite. Where the disk has no room for them, there are none.
func (j *Journal) makeRoom(n int) error {
	if n > small || j.size+int64(n) <= j.room {
		return nil
	}
	if _, err := j.f.WriteAt(zeros[:], j.room); err != nil {
		return j.cut()
	}
	j.room += ahead
	return nil
}

// rotate ends the segment and begins the next.
func (j *Journal) rotate() error {
	if err := j.trim(); err != nil { // nothing but the footer may follow the groups
		return err
	}
	footer := appendFooter(nil, j.entries, j.last)
	if err := j.write(footer); err != nil {
		return err
	}
	if err := j.begin(j.number + 1); err != nil {
		return errors.Join(err, j.cut()) // no footer, so that it can be added to
	}
	return nil
}

// write puts b on disk behind what is there, or, where there is no room, leaves
// the groups as they were.
func (j *Journal) write(b []byte) error {
	end := j.size + int64(len(b))
	if _, err := j.f.WriteAt(b, j.size); err != nil {
		return errors.Join(err, j.cut())
	}
	j.room = max(j.room, end)
	return j.sync()
}

// trim takes off the zeros.
func (j *Journal) trim() error {
	if j.room == j.size {
		return nil
	}
	return j.cut()
}

// cut takes off whatever is behind the last whole group.
func (j *Journal) cut() error {
	if err := j.f.Truncate(j.size); err != nil {
		return j.fail(err)
	}
	j.room = j.size
	return j.sync()
}

// sync makes the file durable. After a failure nobody knows what is on disk, and
// a second sync may report success for pages that the kernel has dropped.
func (j *Journal) sync() error {
	if err := files.SyncData(j.f); err != nil {
		return j.fail(err)
	}
	return nil
}

func (j *Journal) fail(err error) error {
	j.broken = fmt.Errorf("an earlier write failed, the journal must be opened anew: %w", err)
	return err
}

// Broken says whether every later Append will fail, and why.
func (j *Journal) Broken() error { return j.broken }

// Close takes off the zeros and closes the files. Every group is on disk already.
func (j *Journal) Close() error {
	f := j.f
	if f == nil {
		return nil
	}
	var err error
	if j.broken == nil {
		err = j.trim()
	}
	j.f = nil
	return errors.Join(err, f.Close())
}
