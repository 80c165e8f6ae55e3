package forms

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
)

// rowBatch is how many rows are read at a time, and valueSize how many bytes a
// value counts for beside its text.
const (
	rowBatch  = 64
	valueSize = 16
)

// tableSource reads a Parquet table: each row is an item, as a JSON object of its
// columns. So a table may hold any of the JSON forms.
type tableSource struct {
	f      file
	table  *parquet.File
	group  int // of rows, that reader reads next
	reader *parquet.GenericReader[any]
	kinds  []parquet.Kind // of the values of each leaf of the columns
	batch  [rowBatch]parquet.Row
	rows   []parquet.Row // of batch, not yet returned
	item   int
	end    error // that follows rows
}

func openTable(f file) (s *tableSource, err error) {
	defer asError(&err)
	if err := checkFooter(f); err != nil {
		return nil, err
	}
	table, err := parquet.OpenFile(f, f.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("the table is damaged: %w", err)
	}
	kinds := leafKinds(nil, table.Schema())
	if err := checkSchema(table.Metadata().Schema, kinds); err != nil {
		return nil, err
	}
	return &tableSource{f: f, table: table, kinds: kinds, end: io.EOF}, nil
}

// asError makes an error of a panic, with which the library meets some damage.
func asError(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the table is damaged: %.200v", p)
	}
}

func (s *tableSource) next() (raw []byte, fatal bool, err error) {
	if err := s.fill(); err != nil {
		if err == io.EOF {
			return nil, true, err
		}
		s.item++
		return nil, true, s.fault(err, nil)
	}
	s.item++
	raw, err = s.object(s.rows[0])
	s.rows = s.rows[1:]
	if err != nil {
		return nil, false, s.fault(err, nil)
	}
	return raw, false, nil
}

// fill makes sure that there is a row.
func (s *tableSource) fill() (err error) {
	defer asError(&err)
	for len(s.rows) == 0 {
		if s.end == io.EOF {
			if err := s.nextGroup(); err != nil {
				return err
			}
		}
		if s.end != nil {
			return s.end
		}
		var n int
		n, s.end = s.reader.ReadRows(s.batch[:])
		if s.rows = s.batch[:n]; n == 0 && s.end == nil {
			s.end = io.ErrNoProgress
		}
	}
	return nil
}

// nextGroup goes on to the next group of rows; io.EOF after the last one.
func (s *tableSource) nextGroup() error {
	groups := s.table.RowGroups()
	if s.group >= len(groups) {
		return io.EOF
	}
	if err := checkPages(s.f, s.table.Metadata().RowGroups[s.group], s.kinds); err != nil {
		return err
	}
	s.reader, s.end = parquet.NewGenericRowGroupReader[any](groups[s.group]), nil
	s.group++
	return nil
}

func (s *tableSource) object(row parquet.Row) (raw []byte, err error) {
	defer asError(&err)
	size := 0
	for _, v := range row {
		if at := v.Column(); !v.IsNull() && (at < 0 || at >= len(s.kinds) || v.Kind() != s.kinds[at]) {
			return nil, errKind
		}
		size += valueSize
		if v.Kind() == parquet.ByteArray {
			size += len(v.ByteArray())
		}
	}
	if size > MaxItemSize {
		return nil, errLongItem
	}
	var columns any
	if err := s.reader.Schema().Reconstruct(&columns, row); err != nil {
		return nil, err
	}
	if columns, err = texts(columns); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err = enc.Encode(columns)
	return bytes.TrimSpace(out.Bytes()), err
}

// texts returns v with text in place of bytes: a column of texts need not say
// that it is one.
func texts(v any) (_ any, err error) {
	switch v := v.(type) {
	case []byte:
		return texts(string(v))
	case string:
		if !utf8.ValidString(v) {
			return nil, errors.New("not UTF-8")
		}
	case []any:
		for i := range v {
			if v[i], err = texts(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range v {
			if v[name], err = texts(v[name]); err != nil {
				return nil, fmt.Errorf("column %q: %w", name, err)
			}
		}
	}
	return v, nil
}

func (s *tableSource) fault(err error, raw []byte) *ItemError {
	return &ItemError{Item: s.item, Raw: bytes.Clone(raw), Err: err}
}

func (s *tableSource) offset() int64 {
	return int64(float64(s.f.Size()) * float64(s.item) / float64(max(s.table.NumRows(), 1)))
}
