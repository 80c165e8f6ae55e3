package forms

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"

	"retort/dataset"
)

// KindImport is the Source.Kind of what a Reader reads, but in the forms Retort
// and Parquet, which say it themselves.
const KindImport = "import"

// Reader reads examples.
type Reader struct {
	r    io.Reader
	form Form
	src  source // nil until opened
}

// NewReader reads r, which holds JSON lines or one JSON list of items of form.
// Empty lines and a byte order mark at the head are skipped.
//
// An r that has the methods ReadAt and Size, as io.SectionReader, may also be a
// Parquet table or the ZIP of ChatGPT's export. The rows of a table may be of any
// form that has columns of these names; Parquet and Auto find out which.
func NewReader(r io.Reader, form Form) *Reader { return &Reader{r: r, form: form} }

// Form is the form of the items: Auto until the first good one.
func (r *Reader) Form() Form { return r.form }

// Offset is about how many bytes of the input have been worked on.
func (r *Reader) Offset() int64 {
	if r.src == nil {
		return 0
	}
	return r.src.offset()
}

// All yields the examples; it can be ranged over once. Quality and task type are
// left to the caller, but in the forms Retort and Parquet. An answer with a rating has it as
// UserFeedback, 5 or 1.
//
// An error about an item is an *ItemError. A bad item does not end the sequence:
// it goes on with the next one. Only when the reader fails, or a list is no JSON
// any more, is the error the last one. An error of another kind says that r is
// nothing that can be read, and is the only one.
func (r *Reader) All() iter.Seq2[dataset.Example, error] {
	return func(yield func(dataset.Example, error) bool) {
		if err := r.open(); err != nil {
			yield(dataset.Example{}, err)
			return
		}
		for {
			raw, fatal, err := r.src.next()
			if err == io.EOF {
				return
			}
			var ex dataset.Example
			if err == nil {
				if ex, err = r.parse(raw); err != nil {
					ex, err = dataset.Example{}, r.src.fault(err, raw)
				}
			}
			if !yield(ex, err) || fatal {
				return
			}
		}
	}
}

func (r *Reader) open() (err error) {
	if r.src, err = open(r.r); err != nil {
		return err
	}
	if r.form == Parquet {
		if _, ok := r.src.(*tableSource); !ok {
			return errors.New("it is no Parquet table")
		}
		r.form = Auto // its columns say it
	}
	return nil
}

// parsers make an example of an item of each form.
var parsers = map[Form]func(raw []byte) (dataset.Example, error){
	Retort:    parseRetort,
	OpenAI:    parseConversation,
	TRLSFT:    parseConversation,
	TRLPrompt: parsePrompt,
	TRLDPO:    parseDPO,
	TRLKTO:    parseKTO,
	ShareGPT:  parseShareGPT,
	Alpaca:    parseAlpaca,
	Parquet:   parseRow,
	ChatGPT:   parseChatGPT,
	OpenWebUI: parseOpenWebUI,
}

func (r *Reader) parse(raw []byte) (dataset.Example, error) {
	if !utf8.Valid(raw) {
		return dataset.Example{}, errors.New("not UTF-8")
	}
	form := r.form
	if form == Auto {
		var err error
		if form, err = detect(raw); err != nil {
			return dataset.Example{}, err
		}
	}
	parse, ok := parsers[form]
	if !ok {
		return dataset.Example{}, fmt.Errorf("the format %q cannot be read", form)
	}
	ex, err := parse(raw)
	if err != nil {
		return dataset.Example{}, err
	}
	if form != Retort && form != Parquet {
		ex.Source.Kind = KindImport
	}
	if err := ex.Validate(); err != nil {
		return dataset.Example{}, err
	}
	if len(raw) > dataset.MaxExampleSize/maxEscaped { // else it cannot be too large
		if err := fits(ex); err != nil {
			return dataset.Example{}, err
		}
	}
	r.form = form
	return dataset.Identify(ex), nil
}

const (
	// reserve is what a caller may add to an example: task type, file name, scores.
	reserve = 4 << 10

	// maxEscaped is more than how many bytes the store may need for one of the file.
	maxEscaped = 8
)

// fits refuses an example that the store would refuse for its size.
func fits(ex dataset.Example) error {
	text, err := json.Marshal(ex)
	if err != nil {
		return err
	}
	if limit := dataset.MaxExampleSize - reserve; len(text) > limit {
		return fmt.Errorf("it takes %d bytes in the store, the limit is %d", len(text), limit)
	}
	return nil
}

// marks are fields that tell the forms apart, in the order in which they are
// looked for: what has all fields of a form is of that form.
var marks = []struct {
	form   Form
	fields []string
}{
	{ChatGPT, []string{"mapping"}},
	{OpenWebUI, []string{"data", "snapshot"}},
	{Retort, []string{"messages", "response", "quality_score"}},
	{Parquet, []string{"messages", "quality_score", "rejected_answers"}},
	{TRLDPO, []string{"chosen", "rejected"}},
	{TRLKTO, []string{"completion", "label"}},
	{TRLPrompt, []string{"prompt", "completion"}},
	{OpenAI, []string{"messages"}},
	{ShareGPT, []string{"conversations"}},
	{Alpaca, []string{"instruction", "output"}},
}

func detect(raw []byte) (Form, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return "", err
	}
	for _, m := range marks {
		all := true
		for _, name := range m.fields {
			_, ok := fields[name]
			all = all && ok
		}
		if all {
			return m.form, nil
		}
	}
	return "", errors.New("its fields are those of no known format")
}

func parseRetort(raw []byte) (ex dataset.Example, err error) {
	if err := json.Unmarshal(raw, &ex); err != nil {
		return ex, err
	}
	return ex, checkID(ex.ID, ex)
}

// checkID refuses an id, if there is one, that is not that of ex.
func checkID(id string, ex dataset.Example) error {
	if id != "" && id != dataset.Identify(ex).ID {
		return errors.New("its id is not that of its content")
	}
	return nil
}
