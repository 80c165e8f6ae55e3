package forms_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/llm"
)

// table writes rows as Parquet.
func table[T any](t testing.TB, rows ...T) string { return packed(t, &parquet.Snappy, rows...) }

func packed[T any](t testing.TB, codec compress.Codec, rows ...T) string {
	t.Helper()
	var out bytes.Buffer
	w := parquet.NewGenericWriter[T](&out, parquet.Compression(codec), parquet.MaxRowsPerRowGroup(3))
	for _, row := range rows {
		if _, err := w.Write([]T{row}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

type chatMessage struct {
	Content string  `parquet:"content"`
	Role    string  `parquet:"role"`
	Name    *string `parquet:"name,optional"` // datasets fill in nulls
}

type shareTurn struct {
	From  string `parquet:"from"`
	Value string `parquet:"value"`
}

func chat(question, answer string) []chatMessage {
	return []chatMessage{{Content: question, Role: "user"}, {Content: answer, Role: "assistant"}}
}

// Tables of Hugging Face have the columns of the JSON forms.
func TestReader_knowsTables(t *testing.T) {
	plain := dataset.Example{Messages: []llm.Message{llm.User("1+1?")}, Response: "2", Source: dataset.Source{Kind: forms.KindImport}}
	preferred, system := plain, plain
	preferred.Rejected = []string{"3"}
	system.Messages = append([]llm.Message{llm.System("s")}, system.Messages...)
	liked := plain
	liked.UserFeedback = 5
	tests := map[string]struct {
		form forms.Form
		text string
		want dataset.Example
	}{
		"messages": {forms.OpenAI, table(t, struct {
			Messages []chatMessage `parquet:"messages,list"`
			Source   string        `parquet:"source"`
		}{chat("1+1?", "2"), "x"}), plain},
		"prompt and completion": {forms.TRLPrompt, table(t, struct {
			Prompt     string `parquet:"prompt"`
			Completion string `parquet:"completion"`
		}{"1+1?", "2"}), plain},
		"prompt and completion, chats": {forms.TRLPrompt, table(t, struct {
			Prompt     []chatMessage `parquet:"prompt,list"`
			Completion []chatMessage `parquet:"completion,list"`
		}{chat("1+1?", "2")[:1], chat("1+1?", "2")[1:]}), plain},
		"preferences": {forms.TRLDPO, table(t, struct {
			Prompt   string        `parquet:"prompt"`
			Chosen   []chatMessage `parquet:"chosen,list"`
			Rejected []chatMessage `parquet:"rejected,list"`
			Score    float64       `parquet:"score_chosen"`
		}{"1+1?", chat("1+1?", "2")[1:], chat("1+1?", "3")[1:], 7}), preferred},
		"labels": {forms.TRLKTO, table(t, struct {
			Prompt     string `parquet:"prompt"`
			Completion string `parquet:"completion"`
			Label      bool   `parquet:"label"`
		}{"1+1?", "2", true}), liked},
		"conversations": {forms.ShareGPT, table(t, struct {
			Conversations []shareTurn `parquet:"conversations,list"`
		}{[]shareTurn{{"system", "s"}, {"human", "1+1?"}, {"gpt", "2"}}}), system},
		"instructions, as bytes": {forms.Alpaca, table(t, struct {
			Instruction []byte  `parquet:"instruction"`
			Input       *string `parquet:"input,optional"`
			Output      []byte  `parquet:"output"`
		}{[]byte("1+1?"), nil, []byte("2")}), plain},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := []dataset.Example{dataset.Identify(test.want)}
			for _, form := range []forms.Form{test.form, forms.Parquet, forms.Auto} {
				r := forms.NewReader(strings.NewReader(test.text), form)
				var got []dataset.Example
				for ex, err := range r.All() {
					if err != nil {
						t.Fatalf("%s: %v", form, err)
					}
					got = append(got, ex)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", form, diff)
				}
				if r.Form() != test.form || r.Offset() != int64(len(test.text)) {
					t.Errorf("%s: form %s at byte %d, want %s at %d", form, r.Form(), r.Offset(), test.form, len(test.text))
				}
			}
		})
	}
}

func TestReader_readsItsOwnTable(t *testing.T) {
	want := dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User("q")}, Response: "a", QualityScore: 0.95, BaseQuality: new(0.85),
		TaskType: "x", ModelsAgreed: true, UserFeedback: 5, Rejected: []string{"b"}, CreatedAt: time.UnixMilli(1_700_000_000_123).UTC(),
		Source: dataset.Source{Kind: "ensemble", Models: []string{"m", "n"}, Terms: "open"}})
	var out bytes.Buffer
	if _, err := write(t.Context(), forms.Parquet, &out, seq([]dataset.Example{want})); err != nil {
		t.Fatal(err)
	}
	got, errs := read(out.String(), forms.Auto)
	if diff := cmp.Diff([]dataset.Example{want}, got); diff != "" || errs != nil {
		t.Errorf("%v (-want +got):\n%s", errs, diff)
	}
}

func TestReader_namesBadRowsAndGoesOn(t *testing.T) {
	type row struct {
		Messages []chatMessage `parquet:"messages,list"`
	}
	good := row{chat("1+1?", "2")}
	got, errs := read(table(t, good, row{chat("\xff", "a")}, row{chat("q", "")}, row{}, good), forms.Auto)
	var said []string
	for _, err := range errs {
		var item *forms.ItemError
		if !errors.As(err, &item) {
			t.Errorf("%v is no ItemError", err)
		}
		said = append(said, err.Error())
	}
	want := []string{`item 2: column "messages": column "content": not UTF-8`, "item 3: invalid: it has no response", "item 4: 0 messages, want a question and an answer"}
	if diff := cmp.Diff(want, said); diff != "" || len(got) != 2 {
		t.Errorf("%d examples (-want +got):\n%s", len(got), diff)
	}
}

// stream hides that r can be read at any place.
type stream struct{ io.Reader }

func TestReader_refusesWhatIsNoTable(t *testing.T) {
	type row struct {
		Instruction string `parquet:"instruction"`
		Output      string `parquet:"output"`
	}
	whole := table(t, row{"q", "a"})
	footer := func(n uint32) string {
		return whole[:len(whole)-8] + string(binary.LittleEndian.AppendUint32(nil, n)) + "PAR1"
	}
	tests := map[string]struct {
		r    io.Reader
		form forms.Form
		want string
	}{
		"text":            {strings.NewReader(goodLine), forms.Parquet, "no Parquet table"},
		"a stream":        {stream{strings.NewReader(whole)}, forms.Auto, "from a file alone"},
		"text, a stream":  {stream{strings.NewReader(goodLine)}, forms.Parquet, "no Parquet table"},
		"the head alone":  {strings.NewReader("PAR1"), forms.Auto, "cut off"},
		"cut off":         {strings.NewReader(whole[:len(whole)-9]), forms.Auto, ""},
		"a huge footer":   {strings.NewReader(footer(4_000_000_000)), forms.Auto, "which cannot be"},
		"a longer footer": {strings.NewReader(footer(uint32(len(whole)))), forms.Auto, "which cannot be"},
		"a short footer":  {strings.NewReader(footer(3)), forms.Auto, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := 0
			for _, err := range forms.NewReader(test.r, test.form).All() {
				if n++; err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
				if item := (*forms.ItemError)(nil); errors.As(err, &item) {
					t.Errorf("%v is about an item", err)
				}
			}
			if n != 1 {
				t.Errorf("%d errors, want one", n)
			}
		})
	}
}

func TestReader_boundsTables(t *testing.T) {
	type row struct {
		Instruction string `parquet:"instruction"`
		Output      string `parquet:"output"`
	}
	small, last := row{"q", "a"}, row{"q", "c"}
	large := row{"q", strings.Repeat("b", 65<<20)} // neither least nor greatest, which the footer has
	for name, test := range map[string]struct {
		text, want string
		good       int
	}{
		"none, small":   {packed(t, &parquet.Uncompressed, small), "", 1},
		"gzip, small":   {packed(t, &parquet.Gzip, small), "", 1},
		"zstd, small":   {packed(t, &parquet.Zstd, small), "", 1},
		"snappy, large": {packed(t, &parquet.Snappy, small, small, small, small, large, last), "item 4: a page of a column: it has more than 64 MiB", 3},
		"zstd, large":   {packed(t, &parquet.Zstd, small, small, small, small, large, last), "item 4: a page of a column: it has more than 64 MiB", 3},
		"lz4":           {packed(t, &parquet.Lz4Raw, small), "snappy, gzip and zstd can be read", 0},
	} {
		got, errs := read(test.text, forms.Auto)
		if len(got) != test.good || test.want == "" && errs != nil || test.want != "" && (len(errs) != 1 || !strings.Contains(errs[0].Error(), test.want)) {
			t.Errorf("%s: %d examples, %v; want %d and %q", name, len(got), errs, test.good, test.want)
		}
	}
}

// Wherever it is damaged, a table is read or refused, and nothing panics.
func TestReader_survivesDamagedTables(t *testing.T) {
	var out bytes.Buffer
	if _, err := write(t.Context(), forms.Parquet, &out, seq(thousand()[:3])); err != nil {
		t.Fatal(err)
	}
	whole := out.Bytes()
	for at := 0; at < len(whole); at += 3 {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0xff
		n := 0
		for range forms.NewReader(bytes.NewReader(damaged), forms.Auto).All() {
			if n++; n > 1000 {
				t.Fatalf("byte %d: does not end", at)
			}
		}
	}
}

// Columns below each other, of which the library would remember all names of each.
func TestReader_tableOfADeepSchema(t *testing.T) {
	schema := make(thrift.Slice[format.SchemaElement], 100_000)
	for i := range schema {
		schema[i] = format.SchemaElement{Name: "a", RepetitionType: thrift.New(format.Required), NumChildren: thrift.New(int32(1))}
	}
	schema[len(schema)-1] = format.SchemaElement{Name: "a", RepetitionType: thrift.New(format.Required), Type: thrift.New(format.Int32)}
	footer, err := thrift.Marshal(new(thrift.CompactProtocol), &format.FileMetaData{Version: 1, Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	text := binary.LittleEndian.AppendUint32(append([]byte("PAR1"), footer...), uint32(len(footer)))
	for _, err := range forms.NewReader(bytes.NewReader(append(text, "PAR1"...)), forms.Auto).All() {
		if err == nil || !strings.Contains(err.Error(), "too many columns") {
			t.Errorf("%v, want a refusal", err)
		}
	}
}

// A list that says it has more items than there is memory for.
func TestReader_tableOfALongList(t *testing.T) {
	version, schema := []byte{0x15, 0x02}, []byte{0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07} // of 1<<31 - 1
	footer := append(version, schema...)
	text := binary.LittleEndian.AppendUint32(append([]byte("PAR1"), footer...), uint32(len(footer)))
	for _, err := range forms.NewReader(bytes.NewReader(append(text, "PAR1"...)), forms.Auto).All() {
		if err == nil || !strings.Contains(err.Error(), "a list of 2147483647 items") {
			t.Errorf("%v, want a refusal", err)
		}
	}
}

func FuzzReader_table(f *testing.F) {
	var out bytes.Buffer
	if _, err := write(f.Context(), forms.Parquet, &out, seq(various())); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add([]byte(table(f, struct {
		Messages []chatMessage `parquet:"messages,list"`
	}{chat("1+1?", "2")})))
	f.Fuzz(func(t *testing.T, text []byte) {
		var examples []dataset.Example
		for ex, err := range forms.NewReader(bytes.NewReader(text), forms.Auto).All() {
			if err == nil {
				examples = append(examples, ex)
			}
		}
		if _, err := write(t.Context(), forms.Parquet, io.Discard, seq(examples)); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}
