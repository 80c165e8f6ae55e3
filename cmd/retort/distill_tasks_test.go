package main

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"retort/llm"
)

func TestReadTasks(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       []string // last messages
		bad        []int    // lines
		duplicates int
	}{
		"lines":                    {"q.txt", "one\n\n  two \r\none\nthree", []string{"one", "two", "three"}, nil, 1},
		"braces in text":           {"q.txt", `{"input": "one"}`, []string{`{"input": "one"}`}, nil, 0},
		"objects":                  {"q.jsonl", `{"input":"one"}` + "\n" + `{"input":"two","answer":"2"}`, []string{"one", "two"}, nil, 0},
		"objects by their look":    {"-", "\ufeff" + `{"input":"one"}`, []string{"one"}, nil, 0},
		"lines by their look":      {"-", "one\n{two}", []string{"one", "{two}"}, nil, 0},
		"a talk":                   {"q.jsonl", `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}`, []string{"c"}, nil, 0},
		"same words, other system": {"q.jsonl", `{"input":"one"}` + "\n" + `{"input":"one","system":"s"}`, []string{"one", "one"}, nil, 0},
		"not JSON":                 {"q.jsonl", "one\n" + `{"input":"two"}` + "\n[1]\n", []string{"two"}, []int{1, 3}, 0},
		"two on a line":            {"q.jsonl", `{"input":"one"}{"input":"two"}`, nil, []int{1}, 0},
		"neither":                  {"q.jsonl", `{"input":"  "}`, nil, []int{1}, 0},
		"both":                     {"q.jsonl", `{"input":"a","messages":[{"role":"user","content":"b"}]}`, nil, []int{1}, 0},
		"ends in an answer":        {"q.jsonl", `{"messages":[{"role":"user","content":"b"},{"role":"assistant","content":"b"}]}`, nil, []int{1}, 0},
		"late system":              {"q.jsonl", `{"messages":[{"role":"user","content":"b"},{"role":"system","content":"b"},{"role":"user","content":"b"}]}`, nil, []int{1}, 0},
		"two systems":              {"q.jsonl", `{"system":"a","messages":[{"role":"system","content":"b"},{"role":"user","content":"b"}]}`, nil, []int{1}, 0},
		"unknown role":             {"q.jsonl", `{"messages":[{"role":"robot","content":"b"}]}`, nil, []int{1}, 0},
		"tool":                     {"q.jsonl", `{"messages":[{"role":"tool","content":"b"}]}`, nil, []int{1}, 0},
		"bad task type":            {"q.jsonl", `{"input":"a","task_type":"A b"}`, nil, []int{1}, 0},
		"not UTF-8":                {"q.txt", "one\n\xff\xfe\ntwo", []string{"one", "two"}, []int{2}, 0},
		"too long":                 {"q.txt", strings.Repeat("x", maxTaskLine+10) + "\ntwo", []string{"two"}, []int{1}, 0},
		"empty":                    {"q.txt", "", nil, nil, 0},
	} {
		list, err := readTasks(strings.NewReader(c.text), c.file, task{TaskType: "t"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, one := range list.tasks {
			got = append(got, one.question())
		}
		var bad []int
		for _, b := range list.bad {
			bad = append(bad, b.Line)
		}
		if strings.Join(got, "|") != strings.Join(c.want, "|") || len(bad) != len(c.bad) || len(bad) > 0 && bad[0] != c.bad[0] || list.duplicates != c.duplicates {
			t.Errorf("%s: %q, bad lines %v, %d duplicates; want %q, %v, %d", name, got, list.bad, list.duplicates, c.want, c.bad, c.duplicates)
		}
	}
}

func TestReadTasks_fillsIn(t *testing.T) {
	text := `{"input":"a","task_type":"own"}` + "\n" + `{"messages":[{"role":"system","content":"own"},{"role":"user","content":"b"}]}`
	list, err := readTasks(strings.NewReader(text), "q.jsonl", task{TaskType: "plain", Messages: []llm.Message{llm.System("plain")}})
	if err != nil || len(list.tasks) != 2 {
		t.Fatal(list, err)
	}
	a, b := list.tasks[0], list.tasks[1]
	if a.TaskType != "own" || a.Messages[0].Content != "plain" || b.TaskType != "plain" || b.Messages[0].Content != "own" || a.Line != 1 || b.Line != 2 {
		t.Errorf("%+v", list.tasks)
	}
	list, _ = readTasks(strings.NewReader("Write a Python function that sorts a list."), "q.txt", task{})
	if list.tasks[0].TaskType != "code" {
		t.Errorf("task type %q was found out, want code", list.tasks[0].TaskType)
	}
}

func TestReadTasks_failsWithItsFile(t *testing.T) {
	broken := errors.New("broken disk")
	if _, err := readTasks(iotest.ErrReader(broken), "q.txt", task{}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// FuzzReadTasks holds that whatever a file has, each of its tasks can be asked, and
// no line is lost.
func FuzzReadTasks(f *testing.F) {
	for _, seed := range []string{"one\ntwo", `{"input":"a","system":"b","task_type":"c"}`, `{"messages":[{"role":"user","content":"x"}]}`, "\xff", "{}\n\n[", "\r\n{"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, isJSON bool) {
		list, err := readTasks(strings.NewReader(text), map[bool]string{true: "q.jsonl", false: "-"}[isJSON], task{})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, one := range list.tasks {
			if err := (llm.Request{Messages: one.Messages}).Validate(); err != nil || seen[one.Digest] || !validTaskType(one.TaskType) || strings.TrimSpace(one.question()) == "" {
				t.Errorf("%+v: %v", one, err)
			}
			seen[one.Digest] = true
		}
		filled := 0
		for line := range strings.SplitSeq(text, "\n") {
			if strings.TrimSpace(strings.TrimPrefix(line, "\ufeff")) != "" {
				filled++
			}
		}
		if n := len(list.tasks) + len(list.bad) + list.duplicates; n != filled {
			t.Errorf("%d of %d lines are accounted for", n, filled)
		}
	})
}

func TestReadTasks_longBlankLine(t *testing.T) {
	list, err := readTasks(strings.NewReader(strings.Repeat(" ", maxTaskLine+1)+"\nWhy?\n"), "-", task{})
	if err != nil || len(list.tasks) != 1 || len(list.bad) != 1 || list.bad[0].Line != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}
