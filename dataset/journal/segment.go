package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxSegment is the size, in bytes, at which the next segment is begun.
const maxSegment = 32 << 20

const extension = ".jsonl"

func segmentName(number int) string { return fmt.Sprintf("%06d%s", number, extension) }

// segments lists the numbers of the segments in dir, in order.
func segments(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), extension)
		if n, err := strconv.Atoi(digits); ok && err == nil && segmentName(n) == e.Name() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// located is a line with the offset, in bytes, of what follows it.
type located struct {
	line
	end int64
}

// lines yields the lines of a segment. A damaged one is an error that wraps
// ErrDamaged in its place; any other error ends the sequence. Data is valid
// until the next line.
func lines(path string) iter.Seq2[located, error] {
	return func(yield func(located, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(located{}, err)
			return
		}
		defer f.Close()
		r := bufio.NewReaderSize(f, 256<<10)
		damaged := func(n int, why error) error {
			return fmt.Errorf("%s line %d: %w: %v", filepath.Base(path), n, ErrDamaged, why)
		}
		var end int64
		for n := 1; ; n++ {
			raw, err := readLine(r)
			if err != nil && !errors.Is(err, io.EOF) {
				yield(located{}, err)
				return
			}
			text := bytes.TrimLeft(raw, "\x00")
			if len(text) == 0 { // only the last line has no line feed
				return // with zeros, there is room for more groups
			}
			if hole := len(raw) - len(text); hole > 0 {
				end += int64(hole)
				if !yield(located{end: end}, damaged(n, errors.New("zeros stand before it"))) {
					return
				}
				raw = text
			}
			end += int64(len(raw))
			l, lineErr := located{end: end}, error(nil)
			if err != nil { // no line feed
				lineErr = damaged(n, errors.New("it is cut short"))
			} else if l.line, err = parseLine(raw[:len(raw)-1]); err != nil {
				lineErr = damaged(n, err)
			}
			if !yield(l, lineErr) {
				return
			}
		}
	}
}

// readLine reads up to and with the next line feed. The bytes are valid until the
// next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	raw, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return raw, err
	}
	whole := bytes.Clone(raw)
	raw, err = r.ReadBytes('\n')
	return append(whole, raw...), err
}
