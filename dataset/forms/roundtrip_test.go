package forms_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/llm"
)

// store returns a new store that holds examples.
func store(t testing.TB, examples ...dataset.Example) *dataset.Store {
	t.Helper()
	s, err := dataset.Open(t.TempDir(), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Put(t.Context(), examples...); err != nil {
		t.Fatal(err)
	}
	return s
}

func exported(t testing.TB, s *dataset.Store, form forms.Form) (string, forms.Counts) {
	t.Helper()
	var out bytes.Buffer
	counts, err := forms.Write(t.Context(), &out, forms.Options{Form: form, Margin: forms.DefaultMargin}, s.All(t.Context(), dataset.Filter{}))
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), counts
}

// various are examples of every kind that the store can hold.
func various() []dataset.Example {
	ask := func(text string) []llm.Message { return []llm.Message{llm.System("s <&>\u2028"), llm.User(text)} }
	call := llm.Message{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{ID: "c", Name: "add", Arguments: []byte(`{"a":1}`)}}}
	return []dataset.Example{
		{Messages: ask("plain"), Response: "fine", QualityScore: 0.9, TaskType: "x", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)},
		{Messages: ask("given"), Response: "good", QualityScore: 0.9, Rejected: []string{"bad", "worse"}},
		{Messages: ask("rated"), Response: "good", QualityScore: 0.9, UserFeedback: 5, Rejected: []string{"late"}},
		{Messages: ask("rated"), Response: "bad", QualityScore: 0.9, UserFeedback: 1},
		{Messages: ask("candidates"), Response: "a", QualityScore: 0.9, Source: dataset.Source{Kind: "ensemble", Models: []string{"m", "n"}},
			Candidates: []dataset.Candidate{{Model: "m", Response: "a", Score: 0.9}, {Model: "n", Response: "b", Score: 0.6}, {Model: "o", Response: "c", Score: 0.2}, {Model: "p", Error: "down"}}},
		{Messages: append(ask("turns"), llm.Assistant("t"), llm.User("more")), Response: "yes", QualityScore: 0.8},
		{Messages: append(ask("tools"), call, llm.Message{Role: llm.RoleTool, Content: "2", ToolCallID: "c"}), Response: "2", QualityScore: 0.8},
		{Messages: []llm.Message{{Role: llm.RoleUser, Content: "image", Images: []llm.Image{{MediaType: "image/png", Data: []byte("x")}}}}, Response: "cat", QualityScore: 0.8},
	}
}

func TestWrite_roundTripIsByteStable(t *testing.T) {
	from := store(t, various()...)
	want := map[forms.Form]forms.Counts{
		forms.Retort:    {Written: 8, LeftOut: map[string]int{}},
		forms.OpenAI:    {Written: 7, LeftOut: map[string]int{"is rated 1 or 2 of 5": 1}},
		forms.TRLSFT:    {Written: 6, LeftOut: map[string]int{"is rated 1 or 2 of 5": 1, "holds images": 1}},
		forms.TRLPrompt: {Written: 6, LeftOut: map[string]int{"is rated 1 or 2 of 5": 1, "holds images": 1}},
		forms.TRLDPO:    {Written: 5, LeftOut: map[string]int{"has no answer that is worse or rated": 4, "holds images": 1}},
		forms.TRLKTO:    {Written: 8, LeftOut: map[string]int{"has no answer that is worse or rated": 3, "holds images": 1, "is there already": 1}},
		forms.ShareGPT:  {Written: 5, LeftOut: map[string]int{"is rated 1 or 2 of 5": 1, "holds images": 1, "holds tool calls": 1}},
		forms.Alpaca:    {Written: 5, LeftOut: map[string]int{"is rated 1 or 2 of 5": 1, "holds images": 1, "holds tool calls": 1}},
		forms.Parquet:   {Written: 6, LeftOut: map[string]int{"holds images": 1, "holds tool calls": 1}},
	}
	for _, form := range forms.Writable() {
		t.Run(string(form), func(t *testing.T) {
			first, counts := exported(t, from, form)
			if diff := cmp.Diff(want[form], counts); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			for _, as := range []forms.Form{form, forms.Auto} {
				examples, errs := read(first, as)
				if errs != nil {
					t.Fatal(errs)
				}
				second, _ := exported(t, store(t, examples...), form)
				if diff := cmp.Diff(strings.Split(first, "\n"), strings.Split(second, "\n")); diff != "" {
					t.Errorf("read as %s (-first +second):\n%s", as, diff)
				}
			}
		})
	}
}

func TestWrite_importAddsNothingTwice(t *testing.T) {
	s := store(t, various()...)
	for _, form := range []forms.Form{forms.Retort, forms.OpenAI, forms.TRLSFT, forms.ShareGPT, forms.Alpaca, forms.Parquet} {
		text, _ := exported(t, s, form)
		examples, errs := read(text, form)
		if n, err := s.Put(t.Context(), examples...); n != 0 || err != nil || errs != nil {
			t.Errorf("%s: %d new examples, %v %v; want none", form, n, err, errs)
		}
	}
}

func TestWrite_parquet(t *testing.T) {
	s := store(t, various()...)
	text, counts := exported(t, s, forms.Parquet)
	if diff := cmp.Diff(forms.Counts{Written: 6, LeftOut: map[string]int{"holds images": 1, "holds tool calls": 1}}, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	type row struct {
		Messages []struct {
			Role    string `parquet:"role"`
			Content string `parquet:"content"`
		} `parquet:"messages,list"`
		ID        string    `parquet:"id"`
		Feedback  int32     `parquet:"user_feedback"`
		Rejected  []string  `parquet:"rejected_answers,list"`
		CreatedAt time.Time `parquet:"created_at,timestamp(millisecond)"`
	}
	rows, err := parquet.Read[row](strings.NewReader(text), int64(len(text)))
	if err != nil || len(rows) != 6 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	first := rows[0]
	if len(first.Messages) != 3 || first.Messages[1].Content != "plain" || first.Messages[2].Role != "assistant" || first.Messages[2].Content != "fine" {
		t.Errorf("messages %+v", first.Messages)
	}
	if want := dataset.Identify(various()[0]); first.ID != want.ID || !first.CreatedAt.Equal(want.CreatedAt.Truncate(time.Millisecond)) {
		t.Errorf("id %s, created at %v", first.ID, first.CreatedAt)
	}
	if diff := cmp.Diff([]string{"bad", "worse"}, rows[1].Rejected); diff != "" || rows[3].Feedback != 1 {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
}

func TestPairs(t *testing.T) {
	type short struct{ Origin, Chosen, Rejected string }
	pairs := func(margin float64) (got []short) {
		for p, err := range forms.Pairs(seq(various()), margin) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, short{string(p.Origin), p.Chosen, p.Rejected})
		}
		return got
	}
	want := []short{{"given", "good", "bad"}, {"given", "good", "worse"}, {"given", "good", "late"}, {"ratings", "good", "bad"}, {"candidates", "a", "c"}}
	if diff := cmp.Diff(want, pairs(0.7)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:4], pairs(0.8)); diff != "" {
		t.Errorf("above all differences (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:4], pairs(0)); diff != "" {
		t.Errorf("no candidates (-want +got):\n%s", diff)
	}
	for range forms.Pairs(seq(various()), 0.3) {
		break // ends the sequence
	}
}

func FuzzReader(f *testing.F) {
	for i := range forms.Readable() {
		f.Add(uint8(i), goodLine)
	}
	f.Add(uint8(0), `[`+chatGPT(askNode, answerNode)+`]`)
	f.Add(uint8(0), `[`+feedback+`]`)
	f.Add(uint8(0), `{"prompt":"a","chosen":"b","rejected":"c"}`)
	f.Add(uint8(0), `{"prompt":[{"role":"user","content":"a"}],"completion":"b","label":false}`)
	f.Add(uint8(0), `{"conversations":[{"from":"human","value":"\ud800"},{"from":"gpt","value":"b"}]}`)
	f.Add(uint8(0), `{"system":"","instruction":"a","input":"b","output":"c","history":[["a","b"]]}`)
	f.Add(uint8(0), `{"messages":[{"role":"user","content":"a"}],"response":"b","quality_score":1}`)
	f.Add(uint8(2), `{"messages":[{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":{"a":[]}}}]},{"role":"assistant","content":"b"}]}`)
	f.Fuzz(func(t *testing.T, n uint8, text string) {
		form := forms.Readable()[int(n)%len(forms.Readable())]
		r := forms.NewReader(strings.NewReader(text), form)
		var examples []dataset.Example
		for ex, err := range r.All() {
			if err == nil {
				examples = append(examples, ex)
			}
		}
		if form = r.Form(); form == forms.Auto || form == forms.ChatGPT || form == forms.OpenWebUI {
			form = forms.OpenAI // is not written
		}
		var first, second bytes.Buffer
		if _, err := write(t.Context(), form, &first, seq(examples)); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, errs := read(first.String(), form)
		if errs != nil {
			t.Fatalf("what was written cannot be read: %v", errs)
		}
		if _, err := write(t.Context(), form, &second, seq(again)); err != nil {
			t.Fatal(err)
		}
		if form == forms.TRLDPO {
			return // pairs of one answer come together only in a store
		}
		if diff := cmp.Diff(first.String(), second.String()); diff != "" {
			t.Errorf("written, read, written (-first +second):\n%s", diff)
		}
	})
}
