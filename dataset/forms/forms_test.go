package forms_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/llm"
)

// imported reads text and parts the examples from the errors.
func imported(r io.Reader) (examples []dataset.Example, errs []error) {
	for ex, err := range forms.NewReader(r, forms.OpenAI).All() {
		if err != nil {
			errs = append(errs, err)
		} else {
			examples = append(examples, ex)
		}
	}
	return examples, errs
}

func seq(examples []dataset.Example) iter.Seq2[dataset.Example, error] {
	return func(yield func(dataset.Example, error) bool) {
		for _, ex := range examples {
			if !yield(ex, nil) {
				return
			}
		}
	}
}

// write writes in a form and returns how many lines that gave.
func write(ctx context.Context, form forms.Form, w io.Writer, examples iter.Seq2[dataset.Example, error]) (int, error) {
	counts, err := forms.Write(ctx, w, forms.Options{Form: form, Margin: forms.DefaultMargin}, examples)
	return counts.Written, err
}

// newExample makes the n-th example.
func newExample(n int) dataset.Example {
	return dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User(fmt.Sprintf("%d+1?", n))},
		Response: fmt.Sprint(n + 1), QualityScore: 0.9, TaskType: "sums", Source: dataset.Source{Kind: "manual"}})
}

const goodLine = `{"messages":[{"role":"user","content":"1+1?"},{"role":"assistant","content":"2"}]}`

func TestReader(t *testing.T) {
	question := []llm.Message{llm.User("1+1?")}
	tests := map[string]struct {
		text     string
		messages []llm.Message
		response string
	}{
		"plain":            {goodLine, question, "2"},
		"byte order mark":  {"\ufeff" + goodLine, question, "2"},
		"CRLF":             {goodLine + "\r\n", question, "2"},
		"blank lines":      {"\n \r\n\t\n" + goodLine + "\n\n", question, "2"},
		"no final newline": {"\n" + goodLine, question, "2"},
		"system and turns": {
			`{"messages":[{"role":"system","content":"s"},{"role":"user","content":""},{"role":"assistant","content":"a"},{"role":"tool","content":"t"},{"role":"assistant","content":"b"}]}`,
			[]llm.Message{llm.System("s"), llm.User(""), llm.Assistant("a"), {Role: llm.RoleTool, Content: "t"}}, "b"},
		"text parts": {
			`{"messages":[{"role":"user","content":[{"type":"text","text":"1+"},{"type":"text","text":"1?"}]},{"role":"assistant","content":[{"type":"text","text":"2"}]}]}`,
			question, "2"},
		"other fields": {
			`{"id":7,"tools":null,"messages":[{"role":"user","name":"ann","content":"1+1?"},{"role":"assistant","content":"2","tool_calls":null,"weight":1}]}`,
			question, "2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := dataset.Identify(dataset.Example{Messages: test.messages, Response: test.response,
				Source: dataset.Source{Kind: "import"}})
			got, errs := imported(strings.NewReader(test.text))
			if diff := cmp.Diff([]dataset.Example{want}, got); diff != "" || errs != nil {
				t.Errorf("%v (-want +got):\n%s", errs, diff)
			}
		})
	}
}

func TestReader_namesBadLinesAndGoesOn(t *testing.T) {
	user := `{"role":"user","content":"q"}`
	tests := map[string]struct{ line, want string }{
		"not JSON":            {`{"messages":`, "unexpected end"},
		"two values":          {goodLine + goodLine, "after top-level value"},
		"a list":              {`[]`, "cannot unmarshal"},
		"null":                {`null`, "0 messages"},
		"no messages":         {`{"prompt":"a","completion":"b"}`, "0 messages"},
		"one message":         {`{"messages":[{"role":"assistant","content":"a"}]}`, "1 messages"},
		"last by the user":    {`{"messages":[` + user + `,` + user + `]}`, `by "user", want "assistant"`},
		"unknown role":        {`{"messages":[{"role":"developer","content":"q"},{"role":"assistant","content":"a"}]}`, `message 1: unknown role "developer"`},
		"no role":             {`{"messages":[{"content":"q"},{"role":"assistant","content":"a"}]}`, `message 1: unknown role ""`},
		"no content":          {`{"messages":[` + user + `,{"role":"assistant"}]}`, "message 2: no content"},
		"null content":        {`{"messages":[` + user + `,{"role":"assistant","content":null}]}`, "message 2: no content"},
		"number as content":   {`{"messages":[` + user + `,{"role":"assistant","content":2}]}`, "message 2: content is neither"},
		"image part":          {`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]},{"role":"assistant","content":"a"}]}`, "an image is not in the file"},
		"text part, no text":  {`{"messages":[{"role":"user","content":[{"type":"text"}]},{"role":"assistant","content":"a"}]}`, `type "text" is not`},
		"tool call":           {`{"messages":[` + user + `,{"role":"assistant","content":"a","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}]}`, "the answer is a tool call"},
		"tools":               {`{"tools":[{}],"messages":[` + user + `,{"role":"assistant","content":"a"}]}`, "tools are not supported"},
		"empty response":      {`{"messages":[` + user + `,{"role":"assistant","content":""}]}`, "no response"},
		"not UTF-8":           {"{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"},{\"role\":\"assistant\",\"content\":\"a\"}]}", "not UTF-8"},
		"BOM not at the head": {"\ufeff" + goodLine, "invalid character"},
		"too long":            {strings.Repeat("x", forms.MaxLineSize+1), "longer than 16 MiB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, errs := imported(strings.NewReader(goodLine + "\n\n" + test.line + "\n" + goodLine))
			var line *forms.ItemError
			if len(errs) != 1 || !errors.As(errs[0], &line) || line.Line != 3 || !strings.Contains(errs[0].Error(), test.want) {
				t.Errorf("errors %v, want one on line 3 with %q", errs, test.want)
			}
			if len(got) != 2 {
				t.Errorf("%d examples around the bad line, want 2", len(got))
			}
		})
	}
}

func TestReader_takesLongLines(t *testing.T) {
	shell := `{"id":"",` + goodLine[1:]
	long := `{"id":"` + strings.Repeat("a", forms.MaxLineSize-len(shell)) + `",` + goodLine[1:]
	got, errs := imported(strings.NewReader(long + "\r\n" + goodLine))
	if errs != nil || len(got) != 2 {
		t.Errorf("%d examples, %v; want 2", len(got), errs)
	}
}

func TestReader_namesWhatIsTooLargeForTheStore(t *testing.T) {
	large := strings.Replace(goodLine, `"2"`, `"`+strings.Repeat("a", dataset.MaxExampleSize)+`"`, 1)
	got, errs := imported(strings.NewReader(large + "\n" + goodLine))
	if len(got) != 1 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "line 1: it takes") {
		t.Errorf("%d examples, %v; want 1 and an error", len(got), errs)
	}
}

func TestReader_endsWhenTheReaderFails(t *testing.T) {
	cause := errors.New("unplugged")
	r := io.MultiReader(strings.NewReader(goodLine+"\n"+goodLine[:20]), iotest.ErrReader(cause))
	got, errs := imported(r)
	var line *forms.ItemError
	if len(got) != 1 || len(errs) != 1 || !errors.Is(errs[0], cause) || !errors.As(errs[0], &line) || line.Line != 2 {
		t.Errorf("%d examples, %v; want 1 and the reader's error on line 2", len(got), errs)
	}
}

func TestReader_stopsWhenToldTo(t *testing.T) {
	for range forms.NewReader(strings.NewReader(goodLine+"\nbad\n"), forms.OpenAI).All() {
		break
	}
	for _, err := range forms.NewReader(strings.NewReader("bad\n"+goodLine), forms.OpenAI).All() {
		if err != nil {
			break
		}
		t.Error("went on after the loop was left")
	}
}

func TestWrite(t *testing.T) {
	ex := dataset.Example{
		Messages:     []llm.Message{llm.System("s"), llm.User("is <1> & \"2\"\n?")},
		Response:     "ja",
		QualityScore: 0.9,
		Source:       dataset.Source{Kind: "manual"},
	}
	before := cmp.Diff(nil, ex)
	var out bytes.Buffer
	n, err := write(t.Context(), forms.OpenAI, &out, seq([]dataset.Example{ex, ex}))
	line := `{"messages":[{"role":"system","content":"s"},{"role":"user","content":"is <1> & \"2\"\n?"},{"role":"assistant","content":"ja"}]}` + "\n"
	if n != 2 || err != nil || out.String() != line+line {
		t.Errorf("Write = %d, %v:\n%s", n, err, out.String())
	}
	if cmp.Diff(nil, ex) != before {
		t.Error("the example was changed")
	}
}

func TestWrite_reportsFailure(t *testing.T) {
	cause := errors.New("damaged")
	failing := func(yield func(dataset.Example, error) bool) {
		_ = yield(newExample(1), nil) && yield(dataset.Example{}, cause) && yield(newExample(2), nil)
	}
	if n, err := write(t.Context(), forms.OpenAI, io.Discard, failing); n != 1 || !errors.Is(err, cause) {
		t.Errorf("sequence fails: %d, %v; want 1 and its error", n, err)
	}
	r, w := io.Pipe()
	r.CloseWithError(cause)
	if _, err := write(t.Context(), forms.OpenAI, w, seq([]dataset.Example{newExample(1)})); !errors.Is(err, cause) {
		t.Errorf("writer fails: %v, want its error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := write(ctx, forms.OpenAI, io.Discard, seq([]dataset.Example{newExample(1)})); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %d, %v", n, err)
	}
}

func FuzzReader_openAI(f *testing.F) {
	f.Add([]byte(goodLine))
	f.Add([]byte("\ufeff\r\n" + goodLine + "\r\nbad\n" + goodLine))
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"type":"text","text":"\ud800"}]},{"role":"assistant","content":"\u2028<\u0000"}]}`))
	f.Add([]byte(`{"MESSAGES":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"tools":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		first, errs := imported(bytes.NewReader(text))
		for _, err := range errs {
			if line := (*forms.ItemError)(nil); !errors.As(err, &line) {
				t.Errorf("%v is no LineError", err)
			}
		}
		var out bytes.Buffer
		n, err := write(context.Background(), forms.OpenAI, &out, seq(first))
		if n != len(first) || err != nil {
			t.Fatalf("exported %d of %d: %v", n, len(first), err)
		}
		second, errs := imported(&out)
		if diff := cmp.Diff(first, second); diff != "" || errs != nil {
			t.Errorf("import, export, import: %v (-first +second):\n%s", errs, diff)
		}
	})
}
