package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// kind is the type of a metadata value, as numbered by the specification.
type kind uint32

const (
	kindUint8 kind = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindString
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

// kinds holds the name and the size in bytes of each kind; a string and an
// array have no fixed size.
var kinds = [...]struct {
	name string
	size int
}{
	kindUint8: {"uint8", 1}, kindInt8: {"int8", 1},
	kindUint16: {"uint16", 2}, kindInt16: {"int16", 2},
	kindUint32: {"uint32", 4}, kindInt32: {"int32", 4},
	kindFloat32: {"float32", 4}, kindBool: {"bool", 1},
	kindString: {"string", 0}, kindArray: {"array", 0},
	kindUint64: {"uint64", 8}, kindInt64: {"int64", 8},
	kindFloat64: {"float64", 8},
}

func (k kind) known() bool { return int(k) < len(kinds) }

func (k kind) String() string {
	if !k.known() {
		return fmt.Sprintf("kind(%d)", uint32(k))
	}
	return kinds[k].name
}

// value is one metadata value. Of an array only its place is kept: a
// vocabulary has hundreds of thousands of strings, and few callers want them.
type value struct {
	kind kind
	bits uint64 // a number or bool as it stands in the file
	text string // kindString

	elem   kind // kindArray: what it holds,
	count  int  // how many,
	offset int64
	size   int64 // and where, in bytes of the file
}

// within names the place of a fault and keeps its kind.
func within(err error, format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, err)...)
}

func (f *File) readPair(d *decoder, i int) error {
	key, err := d.name(maxKey)
	if err != nil {
		return within(err, "metadata key %d", i)
	}
	if _, dup := f.values[key]; dup {
		return faultf(ErrMalformed, "metadata key %d %q is there twice", i, key)
	}
	v, err := d.value()
	if err != nil {
		return within(err, "metadata %d %q", i, key)
	}
	f.keys = append(f.keys, key)
	f.values[key] = v
	return nil
}

func (d *decoder) value() (value, error) {
	k, err := d.kind()
	if err != nil {
		return value{}, err
	}
	v := value{kind: k}
	switch k {
	case kindString:
		v.text, err = d.text(maxString)
	case kindArray:
		err = d.array(&v)
	default:
		v.bits, err = d.uint(kinds[k].size)
		if err == nil && k == kindBool && v.bits > 1 {
			err = faultf(ErrMalformed, "bool is %d", v.bits)
		}
	}
	return v, err
}

func (d *decoder) kind() (kind, error) {
	n, err := d.uint(4)
	if err != nil {
		return 0, err
	}
	if k := kind(n); k.known() {
		return k, nil
	}
	return 0, faultf(ErrMalformed, "value type %d is unknown", n)
}

// array checks an array from its start to its end and notes its place in v.
func (d *decoder) array(v *value) error {
	var err error
	if v.elem, err = d.kind(); err != nil {
		return err
	}
	if v.elem == kindArray {
		// The specification has them, no model and no engine does.
		return faultf(ErrMalformed, "arrays of arrays are not supported")
	}
	n, err := d.uint(8)
	if err != nil {
		return err
	}
	least := uint64(kinds[v.elem].size)
	if v.elem == kindString {
		least = 8 // its length
	}
	if n > uint64(d.size-d.pos)/least {
		return faultf(ErrTruncated, "array of %d %ss ends past the file", n, v.elem)
	}
	v.count, v.offset = int(n), d.pos
	if v.elem != kindString {
		err = d.skip(n * least)
	}
	for i := 0; v.elem == kindString && i < v.count && err == nil; i++ {
		err = d.skipString(i)
	}
	v.size = d.pos - v.offset
	return err
}

func (d *decoder) skipString(i int) error {
	n, err := d.uint(8)
	if err == nil {
		err = d.skip(n)
	}
	if err != nil {
		return within(err, "string %d", i)
	}
	return nil
}

// Keys returns the metadata keys in the order of the file.
func (f *File) Keys() []string {
	return append([]string(nil), f.keys...)
}

// String returns the string under key; false if there is none.
func (f *File) String(key string) (string, bool) {
	v, ok := f.values[key]
	return v.text, ok && v.kind == kindString
}

// Bool returns the bool under key; false if there is none.
func (f *File) Bool(key string) (value, ok bool) {
	v, ok := f.values[key]
	return v.bits == 1, ok && v.kind == kindBool
}

// Uint returns the whole number under key, of any width; false if there is
// none or it is negative.
func (f *File) Uint(key string) (uint64, bool) {
	v, ok := f.values[key]
	if !ok {
		return 0, false
	}
	return v.kind.whole(v.bits)
}

// whole reads bits as a whole number of kind k; false if k holds none or the
// number is negative.
func (k kind) whole(bits uint64) (uint64, bool) {
	switch k {
	case kindUint8, kindUint16, kindUint32, kindUint64:
		return bits, true
	case kindInt8, kindInt16, kindInt32, kindInt64:
		shift := 64 - 8*kinds[k].size
		n := int64(bits<<shift) >> shift // carries the sign over
		return uint64(n), n >= 0
	}
	return 0, false
}

// Float returns the floating-point number under key; false if there is none.
func (f *File) Float(key string) (float64, bool) {
	v := f.values[key] // a missing key has kind uint8
	switch v.kind {
	case kindFloat32:
		return float64(math.Float32frombits(uint32(v.bits))), true
	case kindFloat64:
		return math.Float64frombits(v.bits), true
	}
	return 0, false
}

// Len returns the length of the array under key; false if there is none.
func (f *File) Len(key string) (int, bool) {
	v, ok := f.values[key]
	return v.count, ok && v.kind == kindArray
}

// Strings reads the array of strings under key; false if there is none. The
// array is read from the file at each call.
func (f *File) Strings(key string) (list []string, ok bool, err error) {
	v, ok := f.values[key]
	if !ok || v.kind != kindArray || v.elem != kindString {
		return nil, false, nil
	}
	r := bufio.NewReaderSize(io.NewSectionReader(f.r, v.offset, v.size), 1<<16)
	left := uint64(v.size)
	list = make([]string, 0, v.count)
	for i := range v.count {
		s, err := readString(r, &left)
		if err != nil {
			return nil, true, within(err, "gguf: read %q: string %d", key, i)
		}
		list = append(list, s)
	}
	return list, true, nil
}

// Uints reads the array of whole numbers under key, of any width; false if
// there is none or one of them is negative. The array is read from the file at
// each call.
func (f *File) Uints(key string) (list []uint64, ok bool, err error) {
	v, ok := f.values[key]
	if _, number := v.elem.whole(0); !ok || v.kind != kindArray || !number {
		return nil, false, nil
	}
	data := make([]byte, v.size)
	if _, err := io.ReadFull(io.NewSectionReader(f.r, v.offset, v.size), data); err != nil {
		return nil, true, within(err, "gguf: read %q", key)
	}
	width := kinds[v.elem].size
	for ; len(data) > 0; data = data[width:] {
		var bits [8]byte
		copy(bits[:], data[:width])
		n, ok := v.elem.whole(binary.LittleEndian.Uint64(bits[:]))
		if !ok {
			return nil, false, nil
		}
		list = append(list, n)
	}
	return list, true, nil
}

// readString reads one string; left is what remains of the array. The file may
// have changed since its header was checked, so its length is not trusted.
func readString(r io.Reader, left *uint64) (string, error) {
	var length [8]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return "", err
	}
	n := binary.LittleEndian.Uint64(length[:])
	if *left < 8 || n > *left-8 {
		return "", faultf(ErrMalformed, "longer than the array it is in")
	}
	*left -= 8 + n
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return string(b), err
}
