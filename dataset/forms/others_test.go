package forms_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/llm"
)

// read reads text in a form and parts the examples from the errors.
func read(text string, form forms.Form) (examples []dataset.Example, errs []error) {
	for ex, err := range forms.NewReader(strings.NewReader(text), form).All() {
		if err != nil {
			errs = append(errs, err)
		} else {
			examples = append(examples, ex)
		}
	}
	return examples, errs
}

// chatGPT makes a conversation of nodes, the last of which is the current one.
func chatGPT(nodes ...string) string {
	return `{"title":"t","current_node":"last","mapping":{"root":{"id":"root","message":null,"parent":null,"children":[]},` +
		strings.Join(nodes, ",") + `}}`
}

const (
	askNode    = `"a":{"parent":"root","message":{"author":{"role":"user"},"content":{"content_type":"text","parts":["1+1?"]}}}`
	answerNode = `"last":{"parent":"a","message":{"author":{"role":"assistant"},"recipient":"all","content":{"content_type":"text","parts":["2"]},"metadata":{"model_slug":"gpt-4o"}}}`
)

const feedback = `{"id":"f","type":"rating","data":{"rating":1,"model_id":"arena","sibling_model_ids":["b"]},"meta":{"arena":true,"message_id":"m2"},
	"snapshot":{"chat":{"chat":{"params":{"system":"s"},"history":{"currentId":"m3","messages":{
	"m1":{"id":"m1","parentId":null,"role":"user","content":"1+1?"},
	"m2":{"id":"m2","parentId":"m1","role":"assistant","model":"qwen3:8b","content":"<details type=\"reasoning\" done=\"true\">\n<summary>Thought</summary>\n> one and one\n</details>\n2"},
	"m3":{"id":"m3","parentId":"m1","role":"assistant","model":"b","content":"3"}}}}}}}`

func TestReader_knowsEveryForm(t *testing.T) {
	sum := []llm.Message{llm.User("1+1?")}
	plain := dataset.Example{Messages: sum, Response: "2"}
	with := func(change func(*dataset.Example)) dataset.Example {
		ex := plain
		change(&ex)
		return ex
	}
	system := append([]llm.Message{llm.System("s")}, sum...)
	tests := map[string]struct {
		form forms.Form
		text string
		want dataset.Example
	}{
		"openai": {forms.OpenAI, goodLine, plain},
		"a list": {forms.OpenAI, " \n[" + goodLine + "\n]\n", plain},
		"openai, image": {forms.OpenAI,
			`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAEC"}},{"type":"text","text":"1+1?"}]},{"role":"assistant","content":"2"}]}`,
			with(func(ex *dataset.Example) {
				ex.Messages = []llm.Message{{Role: llm.RoleUser, Content: "1+1?", Images: []llm.Image{{MediaType: "image/png", Data: []byte{0, 1, 2}}}}}
			})},
		"openai, tool calls": {forms.OpenAI,
			`{"messages":[{"role":"user","content":"1+1?"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"add","arguments":"{ \"a\": \"<\" }"}}]},{"role":"tool","tool_call_id":"c","content":"2"},{"role":"assistant","content":"2"}]}`,
			with(func(ex *dataset.Example) {
				ex.Messages = []llm.Message{llm.User("1+1?"),
					{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{ID: "c", Name: "add", Arguments: []byte(`{"a":"\u003c"}`)}}},
					{Role: llm.RoleTool, Content: "2", ToolCallID: "c"}}
			})},
		"trl prompt":           {forms.TRLPrompt, `{"prompt":[{"role":"user","content":"1+1?"}],"completion":[{"role":"assistant","content":"2"}]}`, plain},
		"trl prompt, plain":    {forms.TRLPrompt, `{"prompt":"1+1?","completion":"2"}`, plain},
		"trl kto, good":        {forms.TRLKTO, `{"prompt":"1+1?","completion":"2","label":true}`, with(func(ex *dataset.Example) { ex.UserFeedback = 5 })},
		"trl kto, bad":         {forms.TRLKTO, `{"prompt":"1+1?","completion":"2","label":false}`, with(func(ex *dataset.Example) { ex.UserFeedback = 1 })},
		"trl dpo":              {forms.TRLDPO, `{"prompt":"1+1?","chosen":"2","rejected":"3"}`, with(func(ex *dataset.Example) { ex.Rejected = []string{"3"} })},
		"trl dpo, whole talks": {forms.TRLDPO, `{"chosen":[{"role":"user","content":"1+1?"},{"role":"assistant","content":"2"}],"rejected":[{"role":"user","content":"1+1?"},{"role":"assistant","content":"3"}]}`, with(func(ex *dataset.Example) { ex.Rejected = []string{"3"} })},
		"sharegpt":             {forms.ShareGPT, `{"id":"x","conversations":[{"from":"human","value":"1+1?"},{"from":"gpt","value":"2"}]}`, plain},
		"sharegpt, system":     {forms.ShareGPT, `{"system":"s","tools":"","conversations":[{"from":"user","value":"1+1?"},{"from":"assistant","value":"2"}]}`, with(func(ex *dataset.Example) { ex.Messages = system })},
		"alpaca":               {forms.Alpaca, `{"instruction":"1+1?","input":"","output":"2"}`, plain},
		"alpaca, input":        {forms.Alpaca, `[{"instruction":"Sum up.","input":"1+1","output":"2","text":"x"}]`, with(func(ex *dataset.Example) { ex.Messages = []llm.Message{llm.User("Sum up.\n1+1")} })},
		"alpaca, history": {forms.Alpaca, `{"system":"s","instruction":"1+1?","output":"2","history":[["a","b"]]}`, with(func(ex *dataset.Example) {
			ex.Messages = []llm.Message{llm.System("s"), llm.User("a"), llm.Assistant("b"), sum[0]}
		})},
		"chatgpt": {forms.ChatGPT, "[" + chatGPT(askNode, answerNode) + "]", with(func(ex *dataset.Example) { ex.Source.Terms, ex.Source.Models = "restricted", []string{"openai/gpt-4o"} })},
		"open webui, arena": {forms.OpenWebUI, "[" + feedback + "]", with(func(ex *dataset.Example) {
			ex.Messages, ex.UserFeedback, ex.Rejected, ex.Source.Models = system, 5, []string{"3"}, []string{"qwen3:8b"}
		})},
		"open webui, thumbs": {forms.OpenWebUI, "[" + strings.Replace(feedback, `"rating":1`, `"rating":"-1"`, 1) + "]", with(func(ex *dataset.Example) {
			ex.Messages, ex.UserFeedback, ex.Source.Models = system, 1, []string{"qwen3:8b"}
		})},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.want.Source.Kind = forms.KindImport
			want := []dataset.Example{dataset.Identify(test.want)}
			for _, form := range []forms.Form{test.form, forms.Auto} {
				got, errs := read(test.text, form)
				if diff := cmp.Diff(want, got); diff != "" || errs != nil {
					t.Errorf("%s: %v (-want +got):\n%s", form, errs, diff)
				}
			}
		})
	}
}

func TestReader_chatGPT(t *testing.T) {
	node := func(id, parent, role, content, more string) string {
		return `"` + id + `":{"parent":"` + parent + `","message":{"author":{"role":"` + role + `"},"content":` + content + more + `}}`
	}
	text := func(s string) string { return `{"content_type":"text","parts":["` + s + `"]}` }
	tests := map[string]struct{ text, want, err string }{
		"other branches and what is hidden": {chatGPT(askNode,
			node("x", "a", "assistant", text("dismissed"), ""),
			node("h", "a", "system", text(""), ""),
			node("t", "h", "assistant", `{"content_type":"thoughts","thoughts":[]}`, ""),
			node("u", "t", "user", text("secret"), `,"metadata":{"is_visually_hidden_from_conversation":true}`),
			node("last", "u", "assistant", text("2"), "")), "user:1+1?|assistant:2", ""},
		"pieces are joined": {chatGPT(askNode, node("b", "a", "assistant", text("It is"), ""), node("last", "b", "assistant", text("2"), "")),
			"user:1+1?|assistant:It is\n\n2", ""},
		"ends with a question": {chatGPT(askNode, node("b", "a", "assistant", text("2"), ""), node("last", "b", "user", text("sure?"), "")),
			"user:1+1?|assistant:2", ""},
		"cut at a tool": {chatGPT(askNode, node("b", "a", "assistant", text("2"), ""), node("c", "b", "user", text("search"), ""),
			node("d", "c", "assistant", `{"content_type":"code","text":"search()"}`, `,"recipient":"web"`), node("e", "d", "tool", text("found"), ""),
			node("last", "e", "assistant", text("3"), "")), "user:1+1?|assistant:2", ""},
		"nothing before the tool": {chatGPT(askNode, node("e", "a", "tool", text("found"), ""), node("last", "e", "assistant", text("3"), "")),
			"", "no question with an answer before a tool is used"},
		"an image": {chatGPT(node("a", "root", "user", `{"content_type":"multimodal_text","parts":[{"content_type":"image_asset_pointer"},"what?"]}`, ""), answerNode),
			"", "before an image"},
		"a circle":         {chatGPT(node("a", "last", "user", text("q"), ""), answerNode), "", "in a circle"},
		"a missing parent": {chatGPT(answerNode), "", `message "a" is not there`},
		"nothing":          {chatGPT(`"last":{"parent":"root","message":null}`), "", "no question"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, errs := read(test.text, forms.ChatGPT)
			if test.err != "" {
				if len(errs) != 1 || !strings.Contains(errs[0].Error(), test.err) {
					t.Errorf("errors %v, want %q", errs, test.err)
				}
				return
			}
			if errs != nil || len(got) != 1 {
				t.Fatalf("%d examples, %v", len(got), errs)
			}
			var said []string
			for _, m := range append(got[0].Messages, llm.Assistant(got[0].Response)) {
				said = append(said, string(m.Role)+":"+m.Content)
			}
			if s := strings.Join(said, "|"); s != test.want {
				t.Errorf("said %q, want %q", s, test.want)
			}
		})
	}
}

func TestReader_namesBadItems(t *testing.T) {
	tests := map[string]struct {
		form       forms.Form
		text, want string
		good       int
	}{
		"in a list":         {forms.OpenAI, "[" + goodLine + `,{"messages":[]},` + goodLine + "]", "item 2: 0 messages", 2},
		"list breaks off":   {forms.OpenAI, "[" + goodLine + `,{"messages"`, "item 2: unexpected EOF", 1},
		"list never ends":   {forms.OpenAI, "[" + goodLine, "item 2: unexpected EOF", 1},
		"after the list":    {forms.OpenAI, "[" + goodLine + "] x", "item 2: something follows", 1},
		"no known form":     {forms.Auto, `{"a":1}` + "\n" + goodLine, "line 1: its fields", 1},
		"mixed forms":       {forms.Auto, goodLine + "\n" + `{"instruction":"a","output":"b"}`, "line 2: 0 messages", 1},
		"wrong id":          {forms.Retort, `{"id":"sha256:00","messages":[{"role":"user","content":"a"}],"response":"b"}`, "its id is not", 0},
		"kto, no label":     {forms.TRLKTO, `{"prompt":"a","completion":"b"}`, "no label", 0},
		"dpo, same":         {forms.TRLDPO, `{"prompt":"a","chosen":"b","rejected":"b"}`, "rejected answer 1", 0},
		"dpo, no prompt":    {forms.TRLDPO, `{"chosen":"b","rejected":"c"}`, "no prompt", 0},
		"two completions":   {forms.TRLPrompt, `{"prompt":"a","completion":[{"role":"assistant","content":"b"},{"role":"assistant","content":"c"}]}`, "2 messages as answer", 0},
		"unknown speaker":   {forms.ShareGPT, `{"conversations":[{"from":"bing","value":"a"}]}`, `turn 1: unknown speaker "bing"`, 0},
		"alpaca, history":   {forms.Alpaca, `{"instruction":"a","output":"b","history":[["a"]]}`, "history 1: 1 texts", 0},
		"alpaca, empty":     {forms.Alpaca, `{"instruction":"","output":"b"}`, "no instruction", 0},
		"feedback, no chat": {forms.OpenWebUI, `{"data":{"rating":1},"snapshot":null}`, "it holds no chat", 0},
		"feedback, message": {forms.OpenWebUI, strings.ReplaceAll(strings.Replace(feedback, `"message_id":"m2"`, `"message_id":"m9"`, 1), "\n", ""), `message "m9" is not in its chat`, 0},
		"feedback, rating":  {forms.OpenWebUI, strings.ReplaceAll(strings.Replace(feedback, `"rating":1`, `"rating":null`, 1), "\n", ""), "no rating", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, errs := read(test.text, test.form)
			var item *forms.ItemError
			if len(errs) != 1 || !errors.As(errs[0], &item) || !strings.Contains(errs[0].Error(), test.want) || len(got) != test.good {
				t.Errorf("%d examples, errors %v; want %d and %q", len(got), errs, test.good, test.want)
			}
		})
	}
}

func TestReader_keepsBadItemsWhole(t *testing.T) {
	for text, want := range map[string]string{
		goodLine + "\n {\"a\": 1} \r\n":        `{"a": 1}`,
		"[" + goodLine + ",\n{\n \"a\": 1\n}]": `{"a":1}`, // on one line
	} {
		_, errs := read(text, forms.OpenAI)
		var item *forms.ItemError
		if len(errs) != 1 || !errors.As(errs[0], &item) || string(item.Raw) != want {
			t.Errorf("%q: %v, want one that holds %q", text, errs, want)
		}
	}
}

// endless is the inside of a text that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestReader_boundsItemsOfLists(t *testing.T) {
	r := forms.NewReader(io.MultiReader(strings.NewReader(`[{"a":"`), endless{}), forms.OpenAI)
	var errs []error
	for _, err := range r.All() {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "item 1: the item is longer than 64 MiB") {
		t.Errorf("errors %v, want one about the length", errs)
	}
}

// An item is yielded before the next one is read, however long the list goes on.
func TestReader_streams(t *testing.T) {
	for open, next := range map[string]string{"": "\n", "[": ","} {
		in, out := io.Pipe()
		go func() {
			_, _ = io.WriteString(out, open+goodLine+next)
		}()
		for ex, err := range forms.NewReader(in, forms.Auto).All() {
			if err != nil || ex.Response != "2" {
				t.Errorf("%q: %q, %v", open, ex.Response, err)
			}
			break
		}
		in.Close()
	}
}

// What was said in many pieces is put together once, and not piece by piece.
func TestReader_chatGPTInManyPieces(t *testing.T) {
	const pieces = 5000
	var text strings.Builder
	text.WriteString(`[{"current_node":"5000","mapping":{"0":{"message":{"author":{"role":"user"},"content":{"content_type":"text","parts":["q"]}}}`)
	for i := 1; i <= pieces; i++ {
		fmt.Fprintf(&text, `,"%d":{"parent":"%d","message":{"author":{"role":"assistant"},"content":{"content_type":"text","parts":["%0100d"]}}}`, i, i-1, i)
	}
	text.WriteString(`}}]`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, errs := read(text.String(), forms.ChatGPT)
	runtime.ReadMemStats(&after)
	if want := pieces*102 - 2; len(errs) > 0 || len(got) != 1 || len(got[0].Response) != want {
		t.Fatalf("%d examples, %v; want one of %d bytes", len(got), errs, want)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 200<<20 {
		t.Errorf("it took %d MiB, for %d KiB", n>>20, text.Len()>>10)
	}
}
