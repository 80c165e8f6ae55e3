package trainer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"retort/llm"
	"retort/llm/llmtest"
)

func TestReadItems(t *testing.T) {
	in := "\ufeff" + `{"input":"a","answer":"b"}

  {"input":"c","answer":"d","system":"s","id":7}
`
	got, err := ReadItems(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	want := []Item{{Input: "a", Answer: "b"}, {Input: "c", Answer: "d", System: "s"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
}

func TestReadItems_namesTheLine(t *testing.T) {
	const good = `{"input":"a","answer":"b"}` + "\n"
	for in, want := range map[string]string{
		good + "\n{\"input\":\"a\"}":                            `line 3: no "answer"`,
		`{"answer":"a"}`:                                        `line 1: no "input"`,
		good + `{"input":"a",`:                                  "line 2: unexpected end of JSON input",
		good + `{"input":"a","answer":"b"} x`:                   "line 2: invalid character 'x' after top-level value",
		good + `["a"]`:                                          "line 2: json: cannot unmarshal array into Go value of type trainer.Item",
		"{\"input\":\"\xff\",\"answer\":\"b\"}":                 "line 1: not UTF-8",
		good + `{"input":"` + strings.Repeat("x", 1<<20) + `"}`: "line 2: longer than 1048576 bytes",
	} {
		if _, err := ReadItems(strings.NewReader(in)); err == nil || err.Error() != want {
			t.Errorf("ReadItems(%.60q): %v, want %s", in, err, want)
		}
	}
}

func FuzzReadItems(f *testing.F) {
	f.Add(`{"input":"a","answer":"b"}` + "\n\n" + `{"input":"ü","answer":"\u0000","system":"<s>"}`)
	f.Add("\ufeff{}")
	f.Add(`{"input":"\ud800","answer":"x"}`)
	f.Fuzz(func(t *testing.T, in string) {
		items, err := ReadItems(strings.NewReader(in))
		if err != nil {
			return
		}
		again, err := ReadItems(strings.NewReader(string(encodeItems(items))))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(items, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("written and read again:\n%s", diff)
		}
	})
}

// items returns n items whose answer is their number.
func numbered(n int) []Item {
	items := make([]Item, n)
	for i := range items {
		items[i] = Item{Input: fmt.Sprint("number ", i), Answer: fmt.Sprint(i)}
	}
	return items
}

// solves returns a model that is right on the items whose number passes.
func solves(name string, right func(i int) bool) *words {
	return &words{llmtest.Script{Name: name, Reply: func(req llm.Request) string {
		var i int
		fmt.Sscanf(req.Messages[len(req.Messages)-1].Content, "number %d", &i)
		if right(i) {
			return fmt.Sprintf(" %d\n", i)
		}
		return "no idea"
	}}}
}

func TestEvaluate(t *testing.T) {
	items := numbered(40)
	items[0].System = "be brief"
	m := solves("m", func(i int) bool { return i%4 != 0 })
	var last int
	rep, err := Evaluate(t.Context(), m, items, EvalOptions{OnItem: func(done, total int) { last = max(last, done*100+total) }})
	if err != nil {
		t.Fatal(err)
	}
	want := Report{Model: "m", N: 40, Correct: 30, Accuracy: 0.75, Low: 0.598, High: 0.858,
		InputTokens: 82, OutputTokens: 30*2 + 10*2}
	if diff := cmp.Diff(want, rep, cmpopts.IgnoreFields(Report{}, "Items", "Seconds", "Answers"), cmpopts.EquateApprox(0, 5e-4)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if got := rep.Answers[7]; got != (Given{Text: "7", Correct: true}) {
		t.Errorf("answer 7 is %+v", got)
	}
	if rep.Seconds <= 0 || rep.MeanInputTokens() != 82.0/40 || last != 4040 {
		t.Errorf("%g s, mean %g tokens, progress %d", rep.Seconds, rep.MeanInputTokens(), last)
	}
	for _, req := range m.Requests() {
		if *req.Sampling.Temperature != 0 || req.Sampling.MaxOutputTokens != 64 {
			t.Errorf("sampling %+v, want greedy and at most 64 tokens", req.Sampling)
		}
		if first := req.Messages[0]; (first.Role == llm.RoleSystem) != strings.HasSuffix(req.Messages[len(req.Messages)-1].Content, " 0") {
			t.Errorf("messages %+v", req.Messages)
		}
	}
}

func TestEvaluate_ownPrompt(t *testing.T) {
	m := &llmtest.Script{Answers: []string{"x"}}
	shots := func(it Item) []llm.Message { return []llm.Message{llm.User("a -> b\n" + it.Input + " ->")} }
	if _, err := Evaluate(t.Context(), m, []Item{{Input: "c", Answer: "d"}}, EvalOptions{Prompt: shots}); err != nil {
		t.Fatal(err)
	}
	if got := m.Requests()[0].Messages[0].Content; got != "a -> b\nc ->" {
		t.Errorf("asked %q", got)
	}
}

func TestEvaluate_severalInFlight(t *testing.T) {
	var inFlight, most atomic.Int32
	full := make(chan struct{})
	m := &llmtest.Script{Step: func(ctx context.Context) error {
		if n := inFlight.Add(1); n > most.Load() {
			most.Store(n)
			if n == 3 {
				close(full)
			}
		}
		select { // nobody goes on before three are here
		case <-full:
		case <-ctx.Done():
		}
		inFlight.Add(-1)
		return nil
	}}
	if _, err := Evaluate(t.Context(), m, numbered(12), EvalOptions{Concurrency: 3}); err != nil {
		t.Fatal(err)
	}
	if most.Load() != 3 {
		t.Errorf("%d in flight, want 3", most.Load())
	}
}

func TestEvaluate_allOrNothing(t *testing.T) {
	broken := errors.New("out of memory")
	var calls atomic.Int32
	failing := &llmtest.Script{Name: "m", Step: func(context.Context) error {
		if calls.Add(1) == 8 {
			return broken
		}
		return nil
	}}
	if rep, err := Evaluate(t.Context(), failing, numbered(50), EvalOptions{Concurrency: 1}); !errors.Is(err, broken) ||
		!strings.HasPrefix(err.Error(), `evaluate "m": item `) || rep.N != 0 {
		t.Errorf("report %+v, error %v", rep, err)
	}
	cut := &llmtest.Script{Cut: true}
	if _, err := Evaluate(t.Context(), cut, numbered(1), EvalOptions{}); !errors.Is(err, llm.ErrIncomplete) {
		t.Errorf("error %v, want ErrIncomplete", err)
	}
	if _, err := Evaluate(t.Context(), cut, nil, EvalOptions{}); err == nil {
		t.Error("no error without items")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Evaluate(ctx, &llmtest.Script{}, numbered(3), EvalOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
