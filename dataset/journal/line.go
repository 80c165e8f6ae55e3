package journal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
)

// ErrDamaged is wrapped by every error about what is on disk and is not what was
// written.
var ErrDamaged = errors.New("the journal is damaged")

// Entry is one change.
type Entry struct {
	Change   uint64 // its number, from 1
	Position uint64 // of the record that it is a version of, from 1; 0 is none
	Data     []byte // JSON in one line
}

// version is the format that this package writes, and the only one it reads.
const version = 1

// line is what any of the lines says.
type line struct {
	// of a header
	Journal  int    `json:"journal"`
	Segment  int    `json:"segment"`
	After    uint64 `json:"after"`
	Snapshot bool   `json:"snapshot"`
	Store    string `json:"store"` // of a file of records

	// of a change
	Change   uint64          `json:"change"`
	Group    uint64          `json:"group"`
	Position uint64          `json:"position"`
	Data     json.RawMessage `json:"data"`

	// of a footer
	End     bool   `json:"end"`
	Entries uint64 `json:"entries"`
	Last    uint64 `json:"last"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	sumPrefix = `{"sum":"`
	sumEnd    = len(sumPrefix) + 8 + len(`",`)
)

// seal frames the members of a JSON object, `"a":1}`, as a line.
func seal(b []byte, start int) []byte {
	sum := crc32.Checksum(b[start+sumEnd:], castagnoli)
	raw := [4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
	hex.Encode(b[start+len(sumPrefix):], raw[:])
	return append(b, '\n')
}

const unsealed = sumPrefix + `00000000",`

// header is the first line of a segment.
type header struct {
	segment  int
	after    uint64
	snapshot bool
	store    string // "" but in a file of records
}

func (h header) append(b []byte) []byte {
	start := len(b)
	b = fmt.Appendf(b, `%s"journal":%d,"segment":%d,"after":%d`, unsealed, version, h.segment, h.after)
	if h.snapshot {
		b = append(b, `,"snapshot":true`...)
	}
	if h.store != "" {
		b = fmt.Appendf(b, `,"store":%q`, h.store)
	}
	return seal(append(b, '}'), start)
}

func appendFooter(b []byte, entries, last uint64) []byte {
	start := len(b)
	b = fmt.Appendf(b, `%s"end":true,"entries":%d,"last":%d}`, unsealed, entries, last)
	return seal(b, start)
}

func appendEntry(b []byte, e Entry, group uint64) []byte {
	start := len(b)
	b = append(b, unsealed...)
	b = strconv.AppendUint(append(b, `"change":`...), e.Change, 10)
	b = strconv.AppendUint(append(b, `,"group":`...), group, 10)
	if e.Position != 0 {
		b = strconv.AppendUint(append(b, `,"position":`...), e.Position, 10)
	}
	b = append(append(b, `,"data":`...), e.Data...)
	return seal(append(b, '}'), start)
}

// parseLine reads a line without its line feed. The error says what is wrong
// with it, and not where it is.
func parseLine(raw []byte) (line, error) {
	var l line
	if len(raw) < sumEnd || !bytes.HasPrefix(raw, []byte(sumPrefix)) {
		return l, errors.New("it is cut or overwritten")
	}
	var sum [4]byte
	if _, err := hex.Decode(sum[:], raw[len(sumPrefix):len(sumPrefix)+8]); err != nil {
		return l, errors.New("it is overwritten")
	}
	want := uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3])
	if crc32.Checksum(raw[sumEnd:], castagnoli) != want || raw[sumEnd-2] != '"' || raw[sumEnd-1] != ',' {
		return l, errors.New("wrong checksum")
	}
	if l, ok := parseChange(raw[sumEnd:]); ok {
		return l, nil
	}
	if err := json.Unmarshal(raw, &l); err != nil {
		return l, err
	}
	if l.Journal > version {
		return l, fmt.Errorf("it is of format %d, of a newer version of this program", l.Journal)
	}
	return l, nil
}

// parseChange reads the members of a change just as appendEntry writes them, which
// takes a tenth of the time that any JSON takes.
func parseChange(b []byte) (l line, ok bool) {
	if b, l.Change, ok = number(b, `"change":`); !ok {
		return line{}, false
	}
	if b, l.Group, ok = number(b, `,"group":`); !ok {
		return line{}, false
	}
	if rest, position, ok := number(b, `,"position":`); ok {
		b, l.Position = rest, position
	}
	data, ok := bytes.CutPrefix(b, []byte(`,"data":`))
	if !ok || len(data) < 2 || data[len(data)-1] != '}' {
		return line{}, false
	}
	l.Data = json.RawMessage(data[:len(data)-1])
	return l, true
}

// number reads a name and the decimal number behind it.
func number(b []byte, name string) (rest []byte, n uint64, ok bool) {
	rest, ok = bytes.CutPrefix(b, []byte(name))
	if !ok {
		return b, 0, false
	}
	end := 0
	for end < len(rest) && '0' <= rest[end] && rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(string(rest[:end]), 10, 64)
	return rest[end:], n, err == nil
}

func (l line) isHeader() bool { return l.Journal != 0 }
func (l line) entry() Entry   { return Entry{l.Change, l.Position, l.Data} }
