package trainer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"retort/llm"
)

// Item is a question with the one answer that counts as right.
type Item struct {
	Input  string `json:"input"`
	Answer string `json:"answer"`
	System string `json:"system,omitempty"` // standing instructions, if any
}

// Prompt returns the conversation that asks it: the system message where there
// is one, and the input.
func (it Item) Prompt() []llm.Message {
	if it.System == "" {
		return []llm.Message{llm.User(it.Input)}
	}
	return []llm.Message{llm.System(it.System), llm.User(it.Input)}
}

// maxItem bounds a line of items, in bytes.
const maxItem = 1 << 20

// ReadItems reads items from lines of JSON with "input", "answer" and perhaps
// "system". Other fields and empty lines are skipped. An error names the line.
func ReadItems(r io.Reader) ([]Item, error) {
	var items []Item
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxItem)
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // some editors begin a file so
		}
		if len(line) == 0 {
			continue
		}
		it, err := parseItem(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		items = append(items, it)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d: longer than %d bytes", n+1, maxItem)
	} else if err != nil {
		return nil, err
	}
	return items, nil
}

func parseItem(line []byte) (Item, error) {
	var it Item
	if !utf8.Valid(line) {
		return it, errors.New("not UTF-8")
	}
	if err := json.Unmarshal(line, &it); err != nil {
		return it, err
	}
	switch {
	case it.Input == "":
		return it, errors.New(`no "input"`)
	case it.Answer == "":
		return it, errors.New(`no "answer"`)
	}
	return it, nil
}

// encodeItems returns items as the lines that ReadItems reads.
func encodeItems(items []Item) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for _, it := range items {
		_ = enc.Encode(it) // strings into memory: it cannot fail
	}
	return out.Bytes()
}
