package gguftest

import (
	"math"
	"strings"

	"retort/models/gguf"
)

// Case is a file that must be refused before a C loader sees it.
type Case struct {
	Name string
	Data []byte
	Err  error // the sentinel of package gguf that the refusal wraps
}

// Hostile returns the corpus: the shapes of published attacks on GGUF loaders,
// and every rule of the format broken once.
func Hostile() []Case {
	var all []Case
	for _, part := range [][]Case{hostileStart(), hostileCounts(), hostileMeta(), hostileArrays(), hostileAlignment(), hostileTensors(), hostilePlaces(), hostileCuts()} {
		all = append(all, part...)
	}
	return all
}

func hostileStart() []Case {
	return []Case{
		{"empty", nil, gguf.ErrNotGGUF},
		{"one byte", []byte("G"), gguf.ErrNotGGUF},
		{"old format", []byte("ggml" + strings.Repeat("\x00", 60)), gguf.ErrNotGGUF},
		{"zip", []byte("PK\x03\x04" + strings.Repeat("\x00", 60)), gguf.ErrNotGGUF},
		{"pickle", []byte("\x80\x02}q\x00" + strings.Repeat(".", 60)), gguf.ErrNotGGUF},
		{"magic alone", []byte("GGUF"), gguf.ErrTruncated},
		{"half a version", []byte("GGUF\x03\x00"), gguf.ErrTruncated},
		{"version 0", Header(0, 0, 0), gguf.ErrMalformed},
		{"version 1", Header(1, 0, 0), gguf.ErrMalformed},
		{"version 4", Header(4, 0, 0), gguf.ErrMalformed},
		{"version 99", Header(99, 0, 0), gguf.ErrMalformed},
		{"version 2^32-1", Header(math.MaxUint32, 0, 0), gguf.ErrMalformed},
		{"magic backwards", []byte("FUGG" + strings.Repeat("\x00", 60)), gguf.ErrNotGGUF},
		{"big endian", Header(3<<24, 0, 0), gguf.ErrMalformed},
		{"no counts", Header(3, 0, 0)[:8], gguf.ErrTruncated},
		{"half the counts", Header(3, 0, 0)[:20], gguf.ErrTruncated},
	}
}

func hostileCounts() []Case {
	room := make([]byte, 4<<20) // zero bytes in which a count of 70,000 fits
	return []Case{
		{"tensor count 2^64-1", append(Header(3, math.MaxUint64, 0), room[:99]...), gguf.ErrTruncated},
		{"tensor count 2^63", append(Header(3, 1<<63, 0), room[:99]...), gguf.ErrTruncated},
		{"tensor count over the file", append(Header(3, 4, 0), room[:99]...), gguf.ErrTruncated},
		{"tensor count over the limit", append(Header(3, 70_000, 0), room...), gguf.ErrMalformed},
		{"pair count 2^64-1", append(Header(3, 0, math.MaxUint64), room[:99]...), gguf.ErrTruncated},
		{"pair count 2^63", append(Header(3, 0, 1<<63), room[:99]...), gguf.ErrTruncated},
		{"pair count over the file", append(Header(3, 0, 8), room[:99]...), gguf.ErrTruncated},
		{"both counts 2^64-1", append(Header(3, math.MaxUint64, math.MaxUint64), room[:99]...), gguf.ErrTruncated},
		{"pair count that overflows times 48", append(Header(3, 0, math.MaxUint64/48+2), room[:99]...), gguf.ErrTruncated},
		{"pair count over the limit", append(Header(3, 0, 70_000), room...), gguf.ErrMalformed},
		{"tensors announced, none there", Header(3, 1, 0), gguf.ErrTruncated},
	}
}

// meta returns a file with n pairs, whose bytes follow.
func meta(n uint64, raw []byte) []byte { return append(Header(3, 0, n), raw...) }

// rawPair returns a pair named "k" of the kind numbered kind.
func rawPair(kind uint32, raw ...byte) []byte {
	return append(le.AppendUint32(AppendString(nil, "k"), kind), raw...)
}

func hostileMeta() []Case {
	long := func(n uint64) []byte { return le.AppendUint64(nil, n) }
	space := make([]byte, 99)
	return []Case{
		{"key length 2^64-1", meta(1, append(long(math.MaxUint64), space...)), gguf.ErrTruncated},
		{"key length 2^64-8", meta(1, append(long(math.MaxUint64-7), space...)), gguf.ErrTruncated},
		{"key length over the limit", meta(1, append(long(70_000), make([]byte, 80_000)...)), gguf.ErrMalformed},
		{"empty key", meta(1, AppendPair(nil, "", uint32(1))), gguf.ErrMalformed},
		{"key not UTF-8", meta(1, AppendPair(nil, "k\xff", uint32(1))), gguf.ErrMalformed},
		{"key with a zero byte", meta(1, AppendPair(nil, "k\x00x", uint32(1))), gguf.ErrMalformed},
		{"key twice", meta(2, AppendPair(AppendPair(nil, "k", uint32(1)), "k", uint32(2))), gguf.ErrMalformed},
		{"unknown kind", meta(1, rawPair(13, space...)), gguf.ErrMalformed},
		{"kind 2^32-1", meta(1, rawPair(math.MaxUint32, space...)), gguf.ErrMalformed},
		{"bool of 2", meta(1, rawPair(kindBool, 2, 0, 0)), gguf.ErrMalformed},
		{"number cut short", meta(1, rawPair(10, 1, 2, 3)), gguf.ErrTruncated},
		{"string length 2^64-1", meta(1, rawPair(kindString, append(long(math.MaxUint64), space...)...)), gguf.ErrTruncated},
		{"string length 2^63", meta(1, rawPair(kindString, append(long(1<<63), space...)...)), gguf.ErrTruncated},
		{"string one byte over the file", meta(1, rawPair(kindString, append(long(100), space...)...)), gguf.ErrTruncated},
		{"string over the limit", meta(1, rawPair(kindString, append(long(17<<20), make([]byte, 17<<20)...)...)), gguf.ErrMalformed},
	}
}

func hostileArrays() []Case {
	array := func(elem uint32, n uint64, raw ...byte) []byte {
		b := le.AppendUint64(le.AppendUint32(nil, elem), n)
		return meta(1, rawPair(kindArray, append(b, raw...)...))
	}
	space := make([]byte, 64)
	deep := []byte{}
	for range 1000 {
		deep = le.AppendUint64(le.AppendUint32(deep, kindArray), 1)
	}
	return []Case{
		{"array length 2^64-1", array(0, math.MaxUint64, space...), gguf.ErrTruncated},
		{"array length that overflows times 8", array(10, 1<<61+1, space...), gguf.ErrTruncated},
		{"array of strings, length 2^61", array(kindString, 1<<61, space...), gguf.ErrTruncated},
		{"array one element over the file", array(kindUint32, 17, space...), gguf.ErrTruncated},
		{"array of an unknown kind", array(99, 1, space...), gguf.ErrMalformed},
		{"string in an array, length 2^64-1", array(kindString, 2, append(AppendString(nil, "a"), "\xff\xff\xff\xff\xff\xff\xff\xff"...)...), gguf.ErrTruncated},
		{"array of arrays", array(kindArray, 1, space...), gguf.ErrMalformed},
		{"arrays 1,000 deep", array(kindArray, 1, deep...), gguf.ErrMalformed},
	}
}

func hostileAlignment() []Case {
	alignment := func(v any) []byte { return meta(1, AppendPair(nil, "general.alignment", v)) }
	return []Case{
		{"alignment 0", alignment(uint32(0)), gguf.ErrMalformed},
		{"alignment 1", alignment(uint32(1)), gguf.ErrMalformed},
		{"alignment 3", alignment(uint32(3)), gguf.ErrMalformed},
		{"alignment 4", alignment(uint32(4)), gguf.ErrMalformed},
		{"alignment -32", alignment(int32(-32)), gguf.ErrMalformed},
		{"alignment 33", alignment(uint32(33)), gguf.ErrMalformed},
		{"alignment 8192", alignment(uint32(8192)), gguf.ErrMalformed},
		{"alignment 2^31", alignment(uint32(1 << 31)), gguf.ErrMalformed},
		{"alignment of the wrong width", alignment(uint64(32)), gguf.ErrMalformed},
		{"alignment as text", alignment("32"), gguf.ErrMalformed},
	}
}

// one returns a file with one tensor and 64 bytes of data.
func one(name string, dims []uint64, typ uint32, offset uint64) []byte {
	b := AppendTensor(Header(3, 1, 0), name, dims, typ, offset)
	return append(pad(b), make([]byte, 64)...)
}

func hostileTensors() []Case {
	huge := append(le.AppendUint32(AppendString(Header(3, 1, 0), "t"), math.MaxUint32), make([]byte, 64)...)
	return []Case{
		{"tensor with an empty name", one("", []uint64{16}, 0, 0), gguf.ErrMalformed},
		{"tensor name of 64 bytes", one(strings.Repeat("n", 64), []uint64{16}, 0, 0), gguf.ErrMalformed},
		{"tensor name not UTF-8", one("\xfe", []uint64{16}, 0, 0), gguf.ErrMalformed},
		{"tensor name with a zero byte", one("t\x00", []uint64{16}, 0, 0), gguf.ErrMalformed},
		{"no dimensions", one("t", nil, 0, 0), gguf.ErrMalformed},
		{"five dimensions", one("t", []uint64{1, 1, 1, 1, 1}, 0, 0), gguf.ErrMalformed},
		{"2^32-1 dimensions", huge, gguf.ErrMalformed},
		{"dimension 0", one("t", []uint64{16, 0}, 0, 0), gguf.ErrMalformed},
		{"all dimensions 0", one("t", []uint64{0, 0, 0, 0}, 0, 0), gguf.ErrMalformed},
		{"dimension -1", one("t", []uint64{math.MaxUint64}, 0, 0), gguf.ErrMalformed},
		{"four dimensions that wrap", one("t", []uint64{1 << 16, 1 << 16, 1 << 16, 1 << 16}, 0, 0), gguf.ErrMalformed},
		{"name length 2^63", append(le.AppendUint64(Header(3, 1, 0), 1<<63), make([]byte, 99)...), gguf.ErrTruncated},
		{"name length 2^64-8", append(le.AppendUint64(Header(3, 1, 0), math.MaxUint64-7), make([]byte, 99)...), gguf.ErrTruncated},
		{"elements wrap to 0", one("t", []uint64{1 << 32, 1 << 32}, 0, 0), gguf.ErrMalformed},
		{"elements wrap to 16", one("t", []uint64{16, 1<<60 + 1}, 0, 0), gguf.ErrMalformed},
		{"elements 2^63", one("t", []uint64{1 << 63}, 0, 0), gguf.ErrMalformed},
		{"bytes wrap", one("t", []uint64{1<<62 + 16}, 0, 0), gguf.ErrMalformed},
		{"unknown type", one("t", []uint64{16}, 99, 0), gguf.ErrMalformed},
		{"withdrawn type", one("t", []uint64{16}, 4, 0), gguf.ErrMalformed},
		{"type 2^32-1", one("t", []uint64{16}, math.MaxUint32, 0), gguf.ErrMalformed},
		{"row is no whole block", one("t", []uint64{33}, 2, 0), gguf.ErrMalformed},
		{"description cut short", one("t", []uint64{16}, 0, 0)[:50], gguf.ErrTruncated},
	}
}

func hostilePlaces() []Case {
	two := func(a, b string, offset uint64) []byte {
		h := AppendTensor(Header(3, 2, 0), a, []uint64{16}, 0, 0)
		return append(pad(AppendTensor(h, b, []uint64{16}, 0, offset)), make([]byte, 128)...)
	}
	noData := AppendTensor(Header(3, 1, 0), "t", []uint64{16}, 0, 0)
	return []Case{
		{"tensor larger than the file", one("t", []uint64{17}, 0, 0), gguf.ErrTruncated},
		{"tensor of 2^60 bytes", one("t", []uint64{1 << 58}, 0, 0), gguf.ErrTruncated},
		{"offset past the file", one("t", []uint64{16}, 0, 96), gguf.ErrTruncated},
		{"offset 2^64-32", one("t", []uint64{16}, 0, math.MaxUint64-31), gguf.ErrTruncated},
		{"offset 2^63-32", one("t", []uint64{16}, 0, math.MaxInt64-31), gguf.ErrTruncated},
		{"offset and size wrap to 0", one("t", []uint64{8}, 0, math.MaxUint64-31), gguf.ErrTruncated},
		{"offset 2^63", one("t", []uint64{16}, 0, 1<<63), gguf.ErrTruncated},
		{"offset off by one", one("t", []uint64{8}, 0, 1), gguf.ErrMalformed},
		{"data starts past the file", noData, gguf.ErrTruncated},
		{"tensor twice", two("t", "t", 64), gguf.ErrMalformed},
		{"tensors overlap", two("t", "u", 32), gguf.ErrMalformed},
		{"tensors in one place", two("t", "u", 0), gguf.ErrMalformed},
	}
}

// hostileCuts ends a sound file within each of its parts.
func hostileCuts() []Case {
	b := Header(3, 1, 2)
	var all []Case
	cut := func(name string, back int) {
		all = append(all, Case{"cut in " + name, append([]byte(nil), b[:len(b)-back]...), gguf.ErrTruncated})
	}
	cut("the counts", 1)
	b = AppendString(b, "list")
	cut("a key", 2)
	b = appendArray(b, kindString, 2)
	cut("an array's length", 3)
	b = AppendString(AppendString(b, "one"), "two")
	cut("a string of an array", 1)
	b = AppendPair(b, "n", uint64(1))
	cut("a number", 4)
	b = AppendTensor(b, "t", []uint64{16, 2}, 0, 0)
	cut("a tensor's offset", 1)
	cut("a tensor's type", 10)
	cut("a tensor's dimensions", 20)
	cut("a tensor's name", 33)
	b = pad(b)
	cut("the space before the data", 1)
	b = append(b, make([]byte, 128)...)
	cut("the data", 1)
	return all
}
