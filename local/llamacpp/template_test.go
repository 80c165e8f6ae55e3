package llamacpp

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"retort/llm"
)

// TestTemplate_rendersAsTheTrainingSide compares with what testdata/jinja's
// render.py got from the library that trains.
func TestTemplate_rendersAsTheTrainingSide(t *testing.T) {
	data, err := os.ReadFile("testdata/jinja/rendered.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Template, Talk, Text, Error string
		Messages                    []llm.Message
		AddPrompt                   bool `json:"add_generation_prompt"`
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		source, err := os.ReadFile(filepath.Join("testdata/jinja", c.Template))
		if err != nil {
			source, err = os.ReadFile(filepath.Join("templates", c.Template))
		}
		if err != nil {
			t.Fatal(err)
		}
		tmpl, err := newTemplate(string(source), "<s>", "</s>")
		if err != nil {
			t.Fatalf("%s: %v", c.Template, err)
		}
		got, err := tmpl.render(c.Messages, nil, c.AddPrompt)
		if got != c.Text || (err != nil) != (c.Error != "") {
			t.Errorf("%s, %s, prompt %v:\n got %q, %v\nwant %q %s", c.Template, c.Talk, c.AddPrompt, got, err, c.Text, c.Error)
		}
	}
}

func TestTemplate_findsBuiltins(t *testing.T) {
	plain, err := newTemplate("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if plain.lead != " " || len(plain.stops) == 0 {
		t.Errorf("the default template has lead %q and stops %q", plain.lead, plain.stops)
	}
	again, err := newTemplate(plain.source, "", "") // as it comes back out of a manifest
	if err != nil {
		t.Fatal(err)
	}
	if again.lead != plain.lead || again.digest() != plain.digest() {
		t.Error("the source of a built-in is not known as that built-in")
	}
	for _, bad := range []string{"no-such", "{% for x in y %}", "{{ 'a }}", "{% nonsense %}", "../template"} {
		if _, err := newTemplate(bad, "", ""); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("template %q: error %v, want one line", bad, err)
		}
	}
}

// TestTemplate_hostile renders templates that would take all memory, all time
// or the whole process. Each is refused, at the latest while it renders.
func TestTemplate_hostile(t *testing.T) {
	double := func(times int, what string) string { return strings.Repeat(what, times) }
	quotes := "{% set x = '\"' %}" + double(17, "{% set x = x ~ x %}")
	long := "{% for i in range(9999) %}" + double(1000, "a") + "{% endfor %}"
	for name, source := range map[string]string{
		"long loop":           "{% for i in range(999999999) %}x{% endfor %}",
		"range down":          "{% for i in range(0, -999999999, -1) %}x{% endfor %}",
		"nested loops":        double(6, "{% for i in range(9999) %}") + "x" + double(6, "{% endfor %}"),
		"silent loops":        double(3, "{% for i in range(9999) %}") + double(3, "{% endfor %}"),
		"recursion":           "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
		"silent recursion":    "{% macro f(x) %}{% if f(x) %}{% endif %}{% endmacro %}{% if f(1) %}{% endif %}",
		"recursion of two":    "{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}",
		"call block":          "{% macro f() %}{% call f() %}{% endcall %}{% endmacro %}{{ f() }}",
		"doubling":            "{% set x = 'ab' %}" + double(40, "{% set x = x ~ x %}") + "{{ x }}",
		"doubling with plus":  "{% set x = 'ab' %}" + double(40, "{% set x = x + x %}") + "{{ x }}",
		"doubling a block":    "{% set x = 'ab' %}" + double(40, "{% set x %}{{ x }}{{ x }}{% endset %}") + "{{ x }}",
		"doubling a list":     "{% set x = ['ab'] %}" + double(40, "{% set x = [x, x] %}") + "{{ x }}",
		"doubling in a field": "{% set n = namespace(x='ab') %}" + double(40, "{% set n.x = n.x ~ n.x %}"),
		"repeat":              "{{ 'a' * 99999999999 }}",
		"power":               "{{ 9 ** 9 }}",
		"indent":              "{{ messages | tojson(indent=999999999) }}",
		"replace":             "{% set x = messages[0].content %}{{ x.replace('', x) }}",
		"replace chain":       "{{ messages[0].content" + double(9, " | replace('a', 'aaaaaaaa')") + " }}",
		"join":                "{{ messages[0].content | join(messages[0].content) }}",
		"tojson chain":        quotes + "{{ x" + double(30, " | tojson") + " }}",
		"escape chain":        quotes + "{{ x" + double(900, " | e") + " }}",
		"list chain":          quotes + "{{ x" + double(30, " | list | string") + " }}",
		"split chain":         "{% set x = \"'\" %}" + double(17, "{% set x = x ~ x %}") + "{{ " + double(30, "(") + "x" + double(30, ".split(\"'\") | string)") + " }}",
		"filter blocks":       quotes + double(30, "{% filter tojson %}") + "{{ x }}" + double(30, "{% endfilter %}"),
		"long sum":            quotes + "{{ x" + double(1000, " ~ x") + " }}",
		"long sum, replaced":  quotes + "{{ (x" + double(100, " ~ x") + ") | replace('\"', '" + double(900, "a") + "') }}",
		"many numbers":        quotes + "{{ x | indent(1024" + double(6, ", 1024") + ")" + double(9, " | replace('\"', '\"\"\"\"\"\"\"\"')") + " }}",
		"long macro":          "{% macro f() %}" + long + "{% endmacro %}{{ f() | replace('a', '" + double(900, "a") + "') }}",
		"long block":          "{% set x %}" + long + "{% endset %}{{ x | replace('a', '" + double(900, "a") + "') }}",
		"long macro, broken":  "{% macro f() %}" + long + "{% for i in range(1) %}{% set x %}{% break %}{% endset %}{% endfor %}{% endmacro %}{{ f() | replace('a', '" + double(900, "a") + "') }}",
		"itself in a list":    "{% set l = [] %}{% if l.append(l) %}{% endif %}{{ l }}",
		"itself in a field":   "{% set n = namespace() %}{% set n.x = n %}{% if n | string %}{% endif %}",
		"itself, by a list":   "{% set n = namespace() %}{% set l = [n] %}{% set n.x = l %}{% if n == n %}{% endif %}",
		"a name of the guard": "{% set retort__out = 1 %}{{ 1 }}",
		"a long tag":          "{{ " + double(9999, "1 ~ ") + "1 }}",
		"a long text":         "{{ '" + double(33<<10, "a") + "' }}",
		"a long source":       double(99999, "{{ 1 }}"),
		"raw":                 "{% raw %}{{ x }}{% endraw %}",
		"panic":               "{{ messages | tojson(indent=-1) }}",
		"wide indent":         "{{ messages | tojson(indent=1025) }}",
		"globals":             "{{ messages.__globals__ }}",
		"globals of a cycler": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
		"class":               "{{ ''.__class__.__mro__[1].__subclasses__() }}",
		"builtins":            "{% for c in [].__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}",
		"endless cycler":      "{% set c = cycler('a') %}{% for i in range(9999) %}{% for j in range(9999) %}{% if c.next() %}{% endif %}{% endfor %}{% endfor %}",
		"many loops in turn":  double(200, "{% for i in range(9999) %}{% endfor %}"),
		"range of 10^9":       "{{ range(1000000000) | list | length }}",
		"include":             "{% include '/etc/passwd' %}",
		"import":              "{% import 'os' as os %}{{ os }}",
		"from import":         "{% from 'os' import system %}{{ system('id') }}",
		"extends":             "{% extends '/etc/passwd' %}",
		"string times":        "{{ 'a' * 1000000 * 1000000 }}",
		"times of a variable": "{% set n = 1000000000 %}{{ 'a' * n }}",
		"center":              "{{ 'a'.center(1000000000) }}",
		"center by filter":    "{{ 'a' | center(1000000000) }}",
		"ljust":               "{{ 'a'.ljust(1000000000) }}",
		"format":              "{{ '%1000000000d' | format(1) }}",
		"format of a string":  "{{ '{:>1000000000}'.format(1) }}",
		"lipsum":              "{{ lipsum(n=1000000) }}",
		"slices nested":       "{{ messages | slice(1000000000) | list }}",
		"wrapped":             "{{ messages[0].content | wordwrap(0) }}",
	} {
		t.Run(name, func(t *testing.T) {
			const most = slowdown * 100 * time.Millisecond
			best := time.Hour // of a few, for the machine may be busy
			for try := 0; try < 3 && best > most; try++ {
				begun, cpu := time.Now(), cpuTime()
				tmpl, err := newTemplate(source, "", "")
				if err == nil {
					_, err = tmpl.prompt([]llm.Message{llm.User(strings.Repeat("a", 1000))})
				}
				if err == nil || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %v, want one line", err)
				}
				best = min(best, time.Since(begun))
				if cpu > 0 { // where it is known
					best = min(best, cpuTime()-cpu)
				}
			}
			if best > most {
				t.Errorf("took %v", best)
			}
		})
	}
}

// TestTemplate_longConversation is far above what a budget must allow.
func TestTemplate_longConversation(t *testing.T) {
	var talk []llm.Message
	for range 1000 {
		talk = append(talk, llm.User(strings.Repeat("word ", 200)), llm.Assistant("fine"))
	}
	for _, name := range []string{"indented", "namespace"} {
		source, err := os.ReadFile("testdata/jinja/" + name + ".jinja")
		if err != nil {
			t.Fatal(err)
		}
		tmpl, err := newTemplate(string(source), "", "")
		if err != nil {
			t.Fatal(err)
		}
		text, err := tmpl.prompt(talk)
		if err != nil || len(text) < 1_000_000 {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
}

func TestTemplate_refusalIsABadRequest(t *testing.T) {
	tmpl, err := newTemplate("{{ raise_exception('no tools here') }}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = tmpl.prompt([]llm.Message{llm.User("hi")})
	if !errors.Is(err, llm.ErrBadRequest) || !strings.Contains(err.Error(), "no tools here") {
		t.Errorf("error %v, want ErrBadRequest with the template's words", err)
	}
}

func FuzzTemplate(f *testing.F) {
	files, _ := filepath.Glob("testdata/jinja/*.jinja")
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(source))
	}
	f.Add("{% set n = namespace(a=1) %}{% set n.a = [n] %}{{ n }}")
	f.Fuzz(func(t *testing.T, source string) {
		begun := time.Now()
		if tmpl, err := newTemplate(source, "<s>", "</s>"); err == nil {
			_, _ = tmpl.prompt([]llm.Message{llm.System("a"), llm.User("b")})
		}
		if d := time.Since(begun); d > 5*renderTime {
			t.Errorf("took %v", d)
		}
	})
}

// TestTemplate_blocks renders what is measured when it ends.
func TestTemplate_blocks(t *testing.T) {
	tmpl, err := newTemplate("{% macro f(n) %}<{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}>{% endmacro %}"+
		"{% set x %}a{% set y %}b{{ f(1) }}{% endset %}{{ y }}{{ y }}{% endset %}[{{ x }}]"+
		"{% for i in range(9) %}{% set z %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endset %}{{ z }}{% endfor %}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := tmpl.prompt([]llm.Message{llm.User("hi")})
	if want := "[ab<1<0>>b<1<0>>]01"; text != want || err != nil {
		t.Errorf("%q, error %v, want %q", text, err, want)
	}
}

// TestTemplate_braces writes braces before tags, as templates with tools do.
func TestTemplate_braces(t *testing.T) {
	for source, want := range map[string]string{
		"{{ 'a' }}:{\n {%- if true %}b{% endif -%}\n }": "a:{b}",
		"{ {#- c -#} { {{- 'a' }}{ {#- c #}% d":         "{{a{% d",
		"{{ 'a' }}{":                                    "a{",
	} {
		tmpl, err := newTemplate(source, "", "")
		if err != nil {
			t.Errorf("%q: %v", source, err)
			continue
		}
		if text, err := tmpl.prompt([]llm.Message{llm.User("hi")}); text != want || err != nil {
			t.Errorf("%q renders as %q, error %v, want %q", source, text, err, want)
		}
	}
}

// TestTemplate_longDefault has a system message in the template, as that of Devstral
// has.
func TestTemplate_longDefault(t *testing.T) {
	message := strings.Repeat("Don\\'t push to main, unless asked to.\\n", 200)
	tmpl, err := newTemplate("{%- set default = '"+message+"' %}\n{{- '[SYSTEM_PROMPT]' + default + '[/SYSTEM_PROMPT]' }}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := tmpl.prompt([]llm.Message{llm.User("hi")})
	want := "[SYSTEM_PROMPT]" + strings.Repeat("Don't push to main, unless asked to.\n", 200) + "[/SYSTEM_PROMPT]"
	if text != want || err != nil {
		t.Errorf("%.80q, error %v, want %.80q", text, err, want)
	}
}
