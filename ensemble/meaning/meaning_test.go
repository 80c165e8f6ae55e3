package meaning

import (
	"strings"
	"testing"
)

func TestKey(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b string
		same bool
	}{
		"numbers":         {"1,000.0", "$1000", true},
		"other numbers":   {"12", "21", false},
		"a list":          {"1,2,3", "123", false},
		"a comma":         {"3,14", "314", false},
		"lakhs":           {"12,34,567.50", "1234567.5", true},
		"long numbers":    {"2,432,902,008,176,640,001", "+02432902008176640001.", true},
		"other long ones": {"2432902008176640000", "2432902008176640001", false},
		"powers of ten":   {"1000000000000000000", "1e18", true},
		"labels":          {"bill_due", "Bill Due.", true},
		"hyphens":         {"check-out", "check out", true},
		"ranges":          {"2-3", "2 3", false},
		"code layout":     {"```go\nfunc f() int {\n\treturn 1 // one\n}\n```", "Here:\n```go\nfunc f() int { return 1 }\n```", true},
		"other code":      {"```go\nfunc f() int { return 1 }\n```", "```go\nfunc f() int { return 2 }\n```", false},
		"strings in code": {"```js\nlet s = \"a  b\" }\n```{", "```js\nlet s = \"a b\" }\n```{", false},
		"indentation":     {"```python\nif x:\n    y()\nz()\n```", "```python\nif x:\n  y()  # call\nz( )\n```", true},
		"other block":     {"```python\nif x:\n    y()\n    z()\n```", "```python\nif x:\n    y()\nz()\n```", false},
		"words run in":    {"```c\nint x; {\n```", "```c\nintx; {\n```", false},
	} {
		if got := Key(tc.a) == Key(tc.b); got != tc.same {
			t.Errorf("%s: %q and %q are the same: %v", name, Key(tc.a), Key(tc.b), got)
		}
	}
}

// FuzzKey: comparing answers never fails, and a key stays the same when it is
// taken again of the same text.
func FuzzKey(f *testing.F) {
	f.Add("```go\nfunc f() { return 1 } // x\n```")
	f.Add("$1,000.50")
	f.Add("a_b-c")
	f.Add("```\n\t\"\\")
	f.Fuzz(func(t *testing.T, text string) {
		if Key(" "+text+"\n") != Key(text) && !strings.Contains(text, "```") {
			t.Fatalf("Key(%q) = %q, with space around %q", text, Key(text), Key(" "+text+"\n"))
		}
		facts(text)
	})
}

func TestJoin_noChains(t *testing.T) {
	keys := []string{"a", "b", "c"}
	got := Join(keys, [][]float32{{1, 0}, {0.9, 0.436}, {0.62, 0.785}}) // a-b 0.90, b-c 0.90, a-c 0.62
	if got["a"] != "a" || got["b"] != "a" || got["c"] != "c" {
		t.Errorf("clusters %v: c is near b but not near a", got)
	}
}

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		"  Late  Checkout. ": "late checkout",
		`"Blue!"`:            "blue",
		"1,000.50":           "1000.5",
		"4.0":                "4",
		"-2":                 "-2",
		"inf":                "inf",
		"0x10":               "0x10",
		"e":                  "e",
		"...":                "",
	} {
		if got := Normalize(in); got != want {
			t.Errorf("Normalize(%q) = %q, want %q", in, got, want)
		}
	}
}
