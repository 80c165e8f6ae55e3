package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"retort/llm"
)

// KindImport is the Source.Kind of what ReadOpenAI reads.
const KindImport = "import"

// MaxLineSize is how many bytes a line of an import may have.
const MaxLineSize = 16 << 20

// LineError is an error in one line of an import.
type LineError struct {
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// ReadOpenAI yields the examples in r, which holds one JSON object per line in
// OpenAI's fine-tuning format: "messages", the last of them the assistant's.
// Content may be a string or a list of text parts. Quality and task type are
// left to the caller. Empty lines and a byte order mark are skipped.
//
// Each error is a *LineError. A bad line does not end the sequence: it goes on
// with the next one. Only when r itself fails is the error the last one.
func ReadOpenAI(r io.Reader) iter.Seq2[Example, error] {
	return func(yield func(Example, error) bool) {
		lines := lineReader{r: bufio.NewReaderSize(r, 64<<10)}
		for n := 1; ; n++ {
			line, err := lines.next()
			if err == io.EOF {
				return
			}
			fatal := err != nil && !errors.Is(err, errLongLine)
			if n == 1 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			line = bytes.TrimSpace(line)
			if err == nil && len(line) == 0 {
				continue
			}
			var ex Example
			if err == nil {
				ex, err = parseOpenAI(line)
			}
			if err != nil {
				ex, err = Example{}, &LineError{n, err}
			}
			if !yield(ex, err) || fatal {
				return
			}
		}
	}
}

var errLongLine = fmt.Errorf("the line is longer than %d MiB", MaxLineSize>>20)

// lineReader cuts a stream into lines of bounded length.
type lineReader struct {
	r    *bufio.Reader
	line []byte // reused
}

// next returns the next line; io.EOF after the last one. The line is valid until
// the next call. A line that is too long is skipped whole.
func (l *lineReader) next() ([]byte, error) {
	l.line = l.line[:0]
	long := false
	for {
		piece, err := l.r.ReadSlice('\n')
		if !long {
			l.line = append(l.line, piece...)
			long = len(bytes.TrimRight(l.line, "\r\n")) > MaxLineSize
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err != nil && err != io.EOF:
			return nil, err
		case long:
			return nil, errLongLine
		case err == io.EOF && len(l.line) == 0:
			return nil, io.EOF
		}
		return l.line, nil
	}
}

// openAIInput is a line as others write it. What would change the meaning of the
// conversation, were it dropped, is refused; other fields are passed over.
type openAIInput struct {
	Messages  []openAIMessage `json:"messages"`
	Tools     json.RawMessage `json:"tools"`
	Functions json.RawMessage `json:"functions"`
}

type openAIMessage struct {
	Role         llm.Role        `json:"role"`
	Content      json.RawMessage `json:"content"`
	ToolCalls    json.RawMessage `json:"tool_calls"`
	FunctionCall json.RawMessage `json:"function_call"`
}

func parseOpenAI(line []byte) (Example, error) {
	if !utf8.Valid(line) {
		return Example{}, errors.New("not UTF-8")
	}
	var in openAIInput
	if err := json.Unmarshal(line, &in); err != nil {
		return Example{}, err
	}
	if given(in.Tools) || given(in.Functions) {
		return Example{}, errors.New("tools are not supported")
	}
	messages := make([]llm.Message, 0, len(in.Messages))
	for i, m := range in.Messages {
		msg, err := m.parse()
		if err != nil {
			return Example{}, fmt.Errorf("message %d: %w", i+1, err)
		}
		messages = append(messages, msg)
	}
	if len(messages) < 2 {
		return Example{}, fmt.Errorf("%d messages, want a question and an answer", len(messages))
	}
	last := messages[len(messages)-1]
	if last.Role != llm.RoleAssistant {
		return Example{}, fmt.Errorf("the last message is by %q, want %q", last.Role, llm.RoleAssistant)
	}
	ex := Example{Messages: messages[:len(messages)-1], Response: last.Content, Source: Source{Kind: KindImport}}
	if err := validate(ex); err != nil {
		return Example{}, err
	}
	return Identify(ex), nil
}

func (m openAIMessage) parse() (llm.Message, error) {
	if !m.Role.Valid() {
		return llm.Message{}, fmt.Errorf("unknown role %q", m.Role)
	}
	if given(m.ToolCalls) || given(m.FunctionCall) {
		return llm.Message{}, errors.New("tool calls are not supported")
	}
	content, err := parseContent(m.Content)
	return llm.Message{Role: m.Role, Content: content}, err
}

// parseContent reads a string, or the list of parts that may stand for one.
func parseContent(raw json.RawMessage) (string, error) {
	if !given(raw) {
		return "", errors.New("no content")
	}
	if raw[0] == '"' {
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err
	}
	var parts []struct {
		Type string  `json:"type"`
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", errors.New("content is neither text nor a list of parts")
	}
	var b strings.Builder
	for _, p := range parts {
		if p.Type != "text" || p.Text == nil {
			return "", fmt.Errorf("content of type %q is not supported", p.Type)
		}
		b.WriteString(*p.Text)
	}
	return b.String(), nil
}

// given reports whether a field was there, and not null.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
