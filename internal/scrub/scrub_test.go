package scrub

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/llm"
)

func forgotten() *Forgotten {
	return Of([]dataset.Example{
		dataset.Identify(dataset.Example{
			Messages: []llm.Message{llm.System("Be brief and kind."), llm.User("Where does \"Zoë\" live?\nSay it in one word.")},
			Response: "in Kenya, they say", Rejected: []string{"in the zoo"}, Candidates: []dataset.Candidate{{Model: "m", Response: "no idea at all"}, {Model: "m", Response: "<b>so & so\u2028😀</b>"}},
		}),
		dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User(" hi ")}, Response: "ok"}),
	})
}

func TestForgotten_Text(t *testing.T) {
	f := forgotten()
	for text, want := range map[string]bool{
		`Where does "Zoë" live?`:                             true,
		`error at 'Say it in one word.' (7)`:                 true,
		`{"q":"Where does \"Zoë\" live?"}`:                   true,
		`{"q": "Where does \"Zo\u00eb\" live?"}`:             true, // as Python has it
		`["<b>so & so\u2028\ud83d\ude00</b>"]`:               true,
		`["\u003cb\u003eso \u0026 so\u2028😀\u003c/b\u003e"]`: true, // as Go has it
		"in Kenya, they say":                                 true,
		"in the zoo":                                         true,
		"no idea at all":                                     true,
		"Be brief and kind.":                                 false, // other examples have it too
		"in Kenya":                                           false,
		"hi, ok":                                             false, // too short to tell
		"":                                                   false,
	} {
		if got := f.Text([]byte(text)); got != want {
			t.Errorf("Text(%q) = %t", text, got)
		}
	}
}

func TestForgotten_JSON(t *testing.T) {
	f := forgotten()
	for doc, want := range map[string]bool{
		`{"a":[{"content":"Where does \"Zo\u00eb\" live?\nSay it in one word. "}]}`: true,
		`"x Where does \"Zoë\" live?\nSay it in one word. y"`:                       true,
		`["hi"]`:                     true,
		`{"text":"hi all"}`:          false,
		`{"hi":1}`:                   false, // a name, not a value
		`{"a":"in Kenya, they say"}`: false, // only questions are looked for
		`broken {"hi"`:               false,
		"broken Where does \"Zoë\" live?\nSay it in one word.": true,
		`{}`: false,
	} {
		if got := f.JSON([]byte(doc)); got != want {
			t.Errorf("JSON(%q) = %t", doc, got)
		}
	}
}

func TestForgotten_Example(t *testing.T) {
	f := forgotten()
	if !f.Example([]llm.Message{llm.User(" hi ")}, "ok") || f.Example([]llm.Message{llm.User(" hi ")}, "no") {
		t.Error("not told apart by the response")
	}
	if !f.Question("hi") || f.Question("hi there") {
		t.Error("questions are not told apart")
	}
}

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestLines(t *testing.T) {
	for name, test := range map[string]struct {
		text, want string
		dropped    int
	}{
		"none":        {"a\nb\n", "a\nb\n", 0},
		"some":        {"x1\na\nx2\nb\n", "a\nb\n", 2},
		"all":         {"x\n", "", 1},
		"last is cut": {"a\nx", "a\n", 1},
		"end stays":   {"x\na", "a", 1},
		"empty":       {"", "", 0},
		"long line":   {"x" + strings.Repeat("y", 200_000) + "\na\n", "a\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, test.text, 0o640)
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			n, err := Lines(path, func(line []byte) bool { return line[0] == 'x' })
			if n != test.dropped || err != nil || read(t, path) != test.want {
				t.Errorf("Lines = %d, %v, file %.20q; want %d and %q", n, err, read(t, path), test.dropped, test.want)
			}
			after, err := os.Stat(path)
			if err != nil || after.Mode() != before.Mode() || os.SameFile(before, after) != (test.dropped == 0) {
				t.Errorf("mode %v, same file %t, %v", after.Mode(), os.SameFile(before, after), err)
			}
			if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
				t.Errorf("beside it: %v, %v", entries, err)
			}
		})
	}
	if _, err := Lines(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestForgotten_Lists(t *testing.T) {
	id := dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User(" hi ")}, Response: "ok"}).ID
	path := write(t, `{"digest":"sha256:1","n":9007199254740993,"examples":["a","`+id+`"],"included":["`+id+`"],"other":[1],"forgotten":3}`, 0o600)
	f := forgotten()
	if n, err := f.FindLists(path); n != 2 || err != nil {
		t.Errorf("FindLists = %d, %v", n, err)
	}
	if n, err := f.Lists(path); n != 2 || err != nil {
		t.Errorf("Lists = %d, %v", n, err)
	}
	want := `{
  "digest": "sha256:1",
  "examples": [
    "a"
  ],
  "forgotten": 5,
  "included": [],
  "n": 9007199254740993,
  "other": [
    1
  ]
}
`
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Error(diff)
	}
	if n, err := f.Lists(path); n != 0 || err != nil {
		t.Errorf("Lists again = %d, %v", n, err)
	}
	if _, err := f.Lists(write(t, "[]", 0o600)); err == nil {
		t.Error("a list passes for an object")
	}
}

func FuzzForgotten_JSON(f *testing.F) {
	gone := forgotten()
	f.Add([]byte(`{"a":["hi",{"b":1}]}`))
	f.Add([]byte(`{"examples":["sha256:`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		gone.JSON(doc)
		gone.Text(doc)
		path := write(t, string(doc), 0o600)
		if n, err := gone.Lists(path); (err != nil || n == 0) && read(t, path) != string(doc) {
			t.Errorf("Lists = %d, %v, but the file is changed", n, err)
		}
	})
}
