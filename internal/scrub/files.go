package scrub

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"retort/internal/files"
)

// Find returns how many lines of the file at path drop chooses. Lines are given
// with their end.
func Find(path string, drop func(line []byte) bool) (found int, err error) {
	return splitFile(path, drop, io.Discard)
}

// Lines writes the file at path anew without the lines that drop chooses, and
// returns how many these were. Without any the file stays untouched.
func Lines(path string, drop func(line []byte) bool) (dropped int, err error) {
	if dropped, err = Find(path, drop); err != nil || dropped == 0 {
		return 0, err
	}
	err = files.Replace(path, func(w io.Writer) error {
		dropped, err = splitFile(path, drop, w)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("write %q anew: %w", path, err)
	}
	return dropped, nil
}

// splitFile is split of a file, which is closed then: Windows replaces no open one.
func splitFile(path string, drop func(line []byte) bool, keep io.Writer) (dropped int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return split(f, drop, keep)
}

// split copies the lines of r that drop does not choose, and counts the others.
func split(r io.Reader, drop func(line []byte) bool, keep io.Writer) (dropped int, err error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	out := bufio.NewWriterSize(keep, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			if drop(line) {
				dropped++
			} else if _, err := out.Write(line); err != nil {
				return dropped, err
			}
		}
		if err == io.EOF {
			return dropped, out.Flush()
		}
		if err != nil {
			return dropped, err
		}
	}
}

// countField is where Lists counts what it took out.
const countField = "forgotten"

// Lists takes the examples' IDs out of the lists in the JSON object at path, and
// adds their number to its field "forgotten". It returns that number; without any
// the file stays untouched.
func (f *Forgotten) Lists(path string) (removed int, err error) {
	doc, removed, err := f.withoutIDs(path)
	if err != nil || removed == 0 {
		return 0, err
	}
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return 0, err
	}
	return removed, files.Write(path, append(data, '\n'))
}

// FindLists returns how many IDs Lists would take out.
func (f *Forgotten) FindLists(path string) (found int, err error) {
	_, found, err = f.withoutIDs(path)
	return found, err
}

func (f *Forgotten) withoutIDs(path string) (doc map[string]json.RawMessage, removed int, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, 0, fmt.Errorf("read %q: %w", path, err)
	}
	for name, value := range doc {
		var ids []string
		if !bytes.HasPrefix(value, []byte("[")) || json.Unmarshal(value, &ids) != nil {
			continue
		}
		kept := []string{}
		for _, id := range ids {
			if !f.ID(id) {
				kept = append(kept, id)
			}
		}
		if len(kept) == len(ids) {
			continue
		}
		removed += len(ids) - len(kept)
		if doc[name], err = json.Marshal(kept); err != nil {
			return nil, 0, err
		}
	}
	var before int
	_ = json.Unmarshal(doc[countField], &before) // absent, but for the first time
	if removed > 0 {
		doc[countField], err = json.Marshal(before + removed)
	}
	return doc, removed, err
}
