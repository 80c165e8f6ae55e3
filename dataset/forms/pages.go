package forms

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// What a Parquet table may ask for. The library believes what pages say of
// themselves, and holds one of each column whole.
const (
	maxFooter     = 64 << 20 // bytes
	maxPage       = 64 << 20 // bytes, unpacked; writers make pages of about 1 MiB
	maxPageValues = 16 << 20
	maxPlaces     = 16 << 20 // of columns, below each other and in groups of rows; the library keeps one each
	maxItems      = 1 << 20  // of a list in the footer; the library makes room for all that it says it has
)

var errLargePage = fmt.Errorf("it has more than %d MiB or %d values", maxPage>>20, maxPageValues)

// checkFooter refuses a footer that cannot be in the file, or is made to fill memory.
func checkFooter(f file) error {
	var tail [8]byte
	if _, err := f.ReadAt(tail[:], f.Size()-int64(len(tail))); err != nil {
		return fmt.Errorf("the table is cut off: %w", err)
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	start := f.Size() - int64(len(tail)) - n
	if n > maxFooter || start < 0 {
		return fmt.Errorf("the table has a footer of %d bytes, which cannot be", n)
	}
	var meta format.FileMetaData
	r := bufio.NewReaderSize(io.NewSectionReader(f, start, n), 64<<10)
	lists := boundedLists{new(thrift.CompactProtocol).NewReader(r), min(n, maxItems)} // an item takes a byte at least
	if err := thrift.NewDecoder(lists).Decode(&meta); err != nil {
		return fmt.Errorf("the table is damaged: %w", err)
	}
	if places(meta) > maxPlaces {
		return errors.New("the table has too many columns, groups of rows, or columns below each other")
	}
	return nil
}

// boundedLists reads no list that says it has more items than most.
type boundedLists struct {
	thriftReader
	most int64
}

type thriftReader interface{ thrift.Reader }

func (r boundedLists) ReadList() (thrift.List, error) {
	l, err := r.thriftReader.ReadList()
	if err == nil && int64(l.Size) > r.most {
		err = fmt.Errorf("a list of %d items, which cannot be", l.Size)
	}
	return l, err
}

// places sums up, over the columns, how many they are below, and in how many groups
// of rows they are.
func places(meta format.FileMetaData) (n int) {
	var left []int32 // children to come, of each column that the next one is below
	for _, e := range meta.Schema {
		n += len(left) + len(meta.RowGroups)
		if e.NumChildren.V > 0 {
			left = append(left, e.NumChildren.V)
			continue
		}
		for len(left) > 0 {
			last := len(left) - 1
			if left[last]--; left[last] > 0 {
				break
			}
			left = left[:last]
		}
	}
	return n
}

// errKind: the library takes what a column is called for what it holds, and would
// take numbers for the length and place of texts.
var errKind = errors.New("the table is damaged: a column does not hold what it says")

// leafKinds appends the kinds of the leaves of a schema, in their order.
func leafKinds(kinds []parquet.Kind, n parquet.Node) []parquet.Kind {
	if n.Leaf() {
		return append(kinds, n.Type().Kind())
	}
	for _, field := range n.Fields() {
		kinds = leafKinds(kinds, field)
	}
	return kinds
}

// checkSchema refuses leaves that are stored as something else than they are.
func checkSchema(schema []format.SchemaElement, kinds []parquet.Kind) error {
	n := 0
	for _, e := range schema {
		if !e.Type.Valid {
			continue // a group
		}
		if n >= len(kinds) || parquet.Kind(e.Type.V) != kinds[n] {
			return errKind
		}
		n++
	}
	if n != len(kinds) {
		return errKind
	}
	return nil
}

// checkPages refuses a group of rows whose pages would take too much memory, or are
// not of the kinds that the schema says.
func checkPages(f file, group format.RowGroup, kinds []parquet.Kind) error {
	if len(group.Columns) != len(kinds) {
		return errKind
	}
	for i, column := range group.Columns {
		m := column.MetaData
		if parquet.Kind(m.Type) != kinds[i] {
			return errKind
		}
		at := m.DataPageOffset
		if m.DictionaryPageOffset > 0 {
			at = min(at, m.DictionaryPageOffset)
		}
		if at < 0 || m.TotalCompressedSize < 0 || m.TotalCompressedSize > f.Size()-at {
			return errors.New("a column ends past the file")
		}
		r := bufio.NewReaderSize(io.NewSectionReader(f, at, m.TotalCompressedSize), 64<<10)
		for {
			if _, err := r.Peek(1); err == io.EOF {
				break
			}
			if err := checkPage(r, m.Codec); err != nil {
				return fmt.Errorf("a page of a column: %w", err)
			}
		}
	}
	return nil
}

// checkPage reads one page, and refuses what unpacks to more than it says or may.
func checkPage(r *bufio.Reader, codec format.CompressionCodec) error {
	var h format.PageHeader
	if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(r)).Decode(&h); err != nil {
		return err
	}
	v2 := h.DataPageHeaderV2.V
	values := max(h.DataPageHeader.V.NumValues, v2.NumValues, h.DictionaryPageHeader.V.NumValues)
	levels := int64(0) // of a page of version 2, which are not packed
	if h.DataPageHeaderV2.Valid {
		levels = int64(v2.RepetitionLevelsByteLength) + int64(v2.DefinitionLevelsByteLength)
	}
	size := int64(h.CompressedPageSize)
	switch {
	case h.UncompressedPageSize > maxPage || values > maxPageValues:
		return errLargePage
	case levels < 0 || size < levels:
		return errors.New("its size is less than nothing")
	}
	if _, err := io.CopyN(io.Discard, r, levels); err != nil {
		return err
	}
	packed := &io.LimitedReader{R: r, N: size - levels}
	if !h.DataPageHeaderV2.Valid || !v2.IsCompressed.Valid || v2.IsCompressed.V {
		if err := checkPacked(packed, codec); err != nil {
			return err
		}
	}
	_, err := io.Copy(io.Discard, packed)
	return err
}

// checkPacked refuses what unpacks to more than maxPage.
func checkPacked(r *io.LimitedReader, codec format.CompressionCodec) (err error) {
	if r.N == 0 {
		return nil
	}
	var unpacked io.Reader
	switch codec {
	case format.Uncompressed:
		return nil
	case format.Snappy: // says at its head how long it is, and is refused where that is not so
		if n, err := binary.ReadUvarint(bufio.NewReaderSize(r, 16)); err != nil || n > maxPage {
			return errors.Join(errLargePage, err)
		}
		return nil
	case format.Gzip:
		unpacked, err = gzip.NewReader(r)
	case format.Zstd:
		var d *zstd.Decoder
		if d, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPage)); err == nil {
			defer d.Close()
			unpacked = d
		}
	default:
		return fmt.Errorf("it is packed by %s; snappy, gzip and zstd can be read", codec)
	}
	if err != nil {
		return err
	}
	n, err := io.CopyN(io.Discard, unpacked, maxPage+1)
	if n > maxPage {
		return errLargePage
	}
	if err == io.EOF {
		return nil
	}
	return err
}
