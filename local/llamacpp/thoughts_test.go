package llamacpp

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/llm"
)

// An answer is the same in whatever pieces it comes.
func TestThoughtGate(t *testing.T) {
	for name, tc := range map[string]struct {
		opened bool
		text   string
		want   string
		ended  bool // not within thoughts
	}{
		"none":                {false, "Paris.", "Paris.", true},
		"nothing":             {false, "", "", true},
		"thoughts":            {false, "<think>\nIs it Lyon? No.\n</think>\n\nParis.", "Paris.", true},
		"white space first":   {false, "\n <think>a</think> Paris.\n", "Paris.\n", true},
		"white space, none":   {false, "\n Paris.", "\n Paris.", true},
		"empty":               {false, "<think>\n\n</think>\n\nParis.", "Paris.", true},
		"opened by prompt":    {true, "Hm.\n</think>\n\nParis.", "Paris.", true},
		"second in answer":    {false, "<think>a</think>b <think>c</think>", "b <think>c</think>", true},
		"later in answer":     {false, "Write <think> first, then </think>.", "Write <think> first, then </think>.", true},
		"alike":               {false, "<thinking>a</thinking>", "<thinking>a</thinking>", true},
		"begins like it":      {false, "<th", "<th", true},
		"false end":           {false, "<think>a</thin</think>b", "b", true},
		"no end":              {false, "<think>Lyon? </thi", "", false},
		"no end, opened":      {true, "Lyon?", "", false},
		"nothing behind":      {false, "<think>a</think>\n", "", true},
		"white space that is": {false, "<think>a</think>\n\nb\n\nc", "b\n\nc", true},
	} {
		for _, cuts := range [][]byte{{0}, {1, 0, 3}, {7}} {
			g := &thoughtGate{}
			if tc.opened {
				g.at = inThoughts
			}
			var out strings.Builder
			gone := 0
			for _, p := range chunks(tc.text, cuts) {
				show, n := g.add(p)
				out.WriteString(show)
				gone += n
			}
			out.WriteString(g.rest())
			if out.String() != tc.want || (g.at != inThoughts) != tc.ended {
				t.Errorf("%s in pieces %v: %q, ended %v; want %q, %v", name, cuts, out.String(), g.at != inThoughts, tc.want, tc.ended)
			}
			if n := len(tc.text) - len(out.String()) - len(g.held); gone != n {
				t.Errorf("%s in pieces %v: %d bytes are gone, want %d", name, cuts, gone, n)
			}
		}
	}
}

// The tokens of thoughts are not shown either, and a stop text in them stops nothing.
func TestTextStream_dropsThoughts(t *testing.T) {
	s := textStream{thoughts: &thoughtGate{}, stop: stopGate{stops: []string{"END"}}}
	var text, tokens []string
	stopped := false
	for _, p := range []string{"<think>", "a END", "</think>", "\n\n", "Pa", "ris", " END", "x"} {
		if stopped {
			break
		}
		var ev llm.Text
		ev, stopped = s.add(p, &llm.TokenLogprob{Token: p})
		text = append(text, ev.Delta)
		for _, lp := range ev.Logprobs {
			tokens = append(tokens, lp.Token)
		}
	}
	if got := strings.Join(text, ""); got != "Paris " || !stopped {
		t.Errorf("%q, stopped %v", got, stopped)
	}
	if d := cmp.Diff([]string{"Pa", "ris", " END"}, tokens); d != "" {
		t.Error(d)
	}
}

const (
	mayThink = `{% for m in messages %}<|{{ m.role }}|>
{% if m.role == "assistant" and loop.last %}<think>

</think>

{% endif %}{{ m.content }}<|end|>
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}{% endif %}`
	mustThink = `{% for m in messages %}{% set text = m.content.split('</think>')[-1] %}<|{{ m.role }}|>
{{ text }}<|end|>
{% endfor %}{% if add_generation_prompt %}<|assistant|>
<think>
{% endif %}`
)

// What is trained is what is read later: an answer behind thoughts that are over.
func TestTemplate_closed_endsThoughts(t *testing.T) {
	talk := []llm.Message{llm.User("Hi")}
	for name, tc := range map[string]struct{ source, head, text string }{
		"may think":  {mayThink, "<|user|>\nHi<|end|>\n<|assistant|>\n<think>\n\n</think>\n\n", "Hello<|end|>\n"},
		"must think": {mustThink, "<|user|>\nHi<|end|>\n<|assistant|>\n<think>\n", "\n</think>\n\nHello"},
	} {
		tmpl, err := newTemplate(tc.source, "", "")
		if err != nil {
			t.Fatal(err)
		}
		head, err := tmpl.prompt(talk)
		if err != nil {
			t.Fatal(err)
		}
		text, err := tmpl.closed(head, talk, "Hello")
		if head != tc.head || text != tc.text || err != nil || !tmpl.thinks {
			t.Errorf("%s: %q, %q, %v; want %q, %q", name, head, text, err, tc.head, tc.text)
		}
	}
}

// A model whose prompt opens thoughts and that never ends them has not answered.
func TestModel_thoughtsWithoutEnd(t *testing.T) {
	m := openTiny(t, tinyModel(t, "llama"), Options{Template: mustThink, IgnoreEnd: true})
	if _, err := llm.Collect(t.Context(), m, greedy("a", 8)); !errors.Is(err, llm.ErrIncomplete) || !strings.Contains(err.Error(), "within 8 tokens") {
		t.Errorf("error %v, want ErrIncomplete", err)
	}
	m = openTiny(t, tinyModel(t, "llama"), Options{Template: mustThink})
	req := greedy("a", 8)
	req.Format = &llm.Format{Grammar: `root ::= "<0x41>"`} // a token of it, and no room for thoughts
	if got, err := llm.Collect(t.Context(), m, req); err != nil || got.Text != "<0x41>" {
		t.Errorf("%q, %v", got.Text, err)
	}
}
