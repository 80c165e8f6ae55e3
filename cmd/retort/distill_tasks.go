package main

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"retort/ensemble/routing"
	"retort/llm"
)

// task is one question that an ensemble is to answer for training.
type task struct {
	Digest   string        `json:"digest"` // of Messages; see taskDigest
	Messages []llm.Message `json:"messages"`
	TaskType string        `json:"task_type"`
	Line     int           `json:"line,omitempty"`         // in the tasks file
	Of       string        `json:"variation_of,omitempty"` // digest of the question that it was varied from
}

// question is what the user says last.
func (t task) question() string { return t.Messages[len(t.Messages)-1].Content }

// taskDigest is equal for equal conversations.
func taskDigest(messages []llm.Message) string {
	text, err := json.Marshal(messages)
	if err != nil {
		text = fmt.Appendf(nil, "%+v", messages) // a tool call that is no JSON, which no task has
	}
	return textDigest(string(text))
}

func textDigest(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

// badTask is a line of a tasks file that cannot be used.
type badTask struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
	Text   string `json:"text"`
}

// taskList is what a tasks file holds.
type taskList struct {
	tasks      []task
	bad        []badTask
	duplicates int // further lines that ask what an earlier one asks
}

// maxTaskLine bounds a line of a tasks file, in bytes.
const maxTaskLine = 1 << 20

// readTasks reads a tasks file: a question on each line, or a JSON object on each
// line. name decides which, by its extension; where that says nothing the first
// line does. plain gives what a line does not say: its TaskType, which is found
// out where it has none either, and its system message. Only a failure to read is an error.
func readTasks(in io.Reader, name string, plain task) (taskList, error) {
	var list taskList
	seen := map[string]bool{}
	lines := bufio.NewReader(in)
	parse := taskParser(name)
	for n := 1; ; n++ {
		line, err := readLine(lines)
		if err == io.EOF {
			return list, nil
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return list, fmt.Errorf("read tasks %q: %w", name, err)
		}
		line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff")))
		if len(line) == 0 && err == nil {
			continue
		}
		if parse == nil && len(line) > 0 { // a long one may begin with blanks
			parse = map[bool]func([]byte, task) (task, error){true: jsonTask, false: textTask}[line[0] == '{']
		}
		var t task
		if err == nil {
			t, err = parse(line, plain)
		}
		switch {
		case err != nil:
			list.bad = append(list.bad, badTask{n, oneLine(err), strings.ToValidUTF8(string(line), "�")})
		case seen[t.Digest]:
			list.duplicates++
		default:
			t.Line, seen[t.Digest] = n, true
			list.tasks = append(list.tasks, t)
		}
	}
}

// taskParser is the one for a file of that name; nil if the name does not tell.
func taskParser(name string) func([]byte, task) (task, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".jsonl", ".ndjson", ".json":
		return jsonTask
	case ".txt":
		return textTask
	}
	return nil
}

var errLongLine = fmt.Errorf("the line is longer than %d bytes", maxTaskLine)

// readLine returns the next line, which may lack its end at the end of the file,
// or the start of one that is too long and errLongLine.
func readLine(r *bufio.Reader) (line []byte, err error) {
	long := false
	for {
		piece, err := r.ReadSlice('\n')
		if room := maxTaskLine - len(line); len(piece) > room {
			piece, long = piece[:room], true
		}
		line = append(line, piece...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (err != io.EOF || len(line) == 0):
			return nil, err
		case long:
			return line[:200], errLongLine
		}
		return line, nil
	}
}

func textTask(line []byte, plain task) (task, error) {
	return completeTask([]llm.Message{llm.User(string(line))}, plain)
}

// taskLine is a line of a JSON tasks file. Fields of other names are ignored.
type taskLine struct {
	Input    string        `json:"input"`
	System   string        `json:"system"`
	TaskType string        `json:"task_type"`
	Messages []llm.Message `json:"messages"`
}

func jsonTask(line []byte, plain task) (task, error) {
	var l taskLine
	if err := json.Unmarshal(line, &l); err != nil {
		return task{}, fmt.Errorf("not a task in JSON: %w", err)
	}
	if (strings.TrimSpace(l.Input) != "") == (len(l.Messages) > 0) {
		return task{}, errors.New(`want either "input" or "messages"`)
	}
	if l.TaskType != "" {
		if !validTaskType(l.TaskType) {
			return task{}, fmt.Errorf("bad task type %q", l.TaskType)
		}
		plain.TaskType = l.TaskType
	}
	messages := l.Messages
	if len(messages) == 0 {
		messages = []llm.Message{llm.User(strings.TrimSpace(l.Input))}
	}
	if l.System != "" {
		messages = append([]llm.Message{llm.System(l.System)}, messages...)
	}
	return completeTask(messages, plain)
}

// completeTask adds to messages what plain has and they lack, and checks them.
func completeTask(messages []llm.Message, plain task) (task, error) {
	if messages[0].Role != llm.RoleSystem {
		messages = append(plain.Messages[:len(plain.Messages):len(plain.Messages)], messages...)
	}
	for i, m := range messages {
		switch {
		case !utf8.ValidString(m.Content):
			return task{}, fmt.Errorf("message %d is not UTF-8", i+1)
		case len(m.Images) > 0 || len(m.ToolCalls) > 0 || m.Role == llm.RoleTool:
			return task{}, fmt.Errorf("message %d: images and tools cannot be distilled", i+1)
		case m.Role == llm.RoleSystem && i > 0:
			return task{}, fmt.Errorf("message %d: a system message comes first or not at all", i+1)
		}
	}
	if err := (llm.Request{Messages: messages}).Validate(); err != nil {
		return task{}, err
	}
	if last := messages[len(messages)-1]; last.Role != llm.RoleUser || strings.TrimSpace(last.Content) == "" {
		return task{}, errors.New("the last message is not a question of the user")
	}
	return task{Digest: taskDigest(messages), Messages: messages, TaskType: cmp.Or(plain.TaskType, routing.Classify(messages))}, nil
}
