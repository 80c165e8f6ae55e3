package llamacpp

import (
	"errors"
	"strings"
	"testing"
	"time"

	"retort/llm"
)

// matches reports whether text is one of the grammar's.
func matches(t testing.TB, source, text string) bool {
	t.Helper()
	g, err := parseGBNF(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	m, err := newMatcher(g)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.after(m.root, text)
	if err != nil {
		t.Fatal(err)
	}
	return s.ends
}

func TestGrammar_matches(t *testing.T) {
	for source, texts := range map[string]struct{ yes, no string }{
		`root ::= "a" | "bc"`:                                       {"a bc", "b abc ac"},
		"root ::= \"a\"+ # twice\n":                                 {"a aaa", "ba ab"},
		`root ::= "a"? "b"*`:                                        {"a b abbb", "ba aab"},
		`root ::= "x"{2} "y"{1,} "z"{0,2}`:                          {"xxy xxyyyzz", "xy xx xxyzzz xxxy"},
		`root ::= ("a" | "b")? "c"`:                                 {"c ac bc", "abc a"},
		`root ::= [a-cx] [^0-9]`:                                    {"ab xé c漢 a😀", "a1 d1 a"},
		`root ::= [é-ü]+`:                                           {"é êü", "e ý è"},
		`root ::= .`:                                                {"a é 漢 😀", "ab"},
		`root ::= "\x41\u00e9\U0001F600\""`:                         {`Aé😀"`, "A"},
		"root ::= x x\nx ::= \"a\" |\n \"b\"\n\n y ::= \"c\"":       {"aa ab", "a c"},
		"root ::= e\ne ::= n (\"+\" e)?\nn ::= [0-9]+":              {"1 1+22+3", "+ 1+ a"},
		"root ::= \"(\" root \")\" | \"\"":                          {"() ((()))", "( (() ())"},
		"root ::= x*\nx ::= y\ny ::= \"a\"?":                        {"a aaaa", "b"},
		"root ::= [a\\]-]+":                                         {"a]- -", "b"},
		"root ::= \"a\" x | \"b\"\nx ::= \"c\" x":                   {"b", "a acc"},
		"root ::= (\"a\" | \"a\" \"a\" | \"a\" \"a\" \"a\")* \"b\"": {strings.Repeat("a", 500) + "b", "a"},
	} {
		for _, text := range strings.Fields(texts.yes) {
			if !matches(t, source, text) {
				t.Errorf("%s: %q does not match", source, text)
			}
		}
		for _, text := range strings.Fields(texts.no) {
			if matches(t, source, text) {
				t.Errorf("%s: %q matches", source, text)
			}
		}
	}
}

// TestGrammar_readsUTF8InAnyPieces gives a matcher the bytes one by one.
func TestGrammar_readsUTF8InAnyPieces(t *testing.T) {
	g, err := parseGBNF(`root ::= [^a]+`)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMatcher(g)
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) *state {
		s, err := m.after(m.root, text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := at("\xf0\x9f\x98"); s == dead || s.ends {
		t.Error("a part of a character ends the text, or cannot go on")
	}
	for _, bad := range []string{"\xff", "\x80", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90", "\xe0\x80"} {
		if at(bad) != dead {
			t.Errorf("bytes %x can go on to be a character", bad)
		}
	}
	if a, b := at("b"), at("漢"); a != b {
		t.Error("equal states are two")
	}
}

func TestGrammar_refusals(t *testing.T) {
	for name, tc := range map[string]struct{ source, want string }{
		"empty":             {"", `no rule "root"`},
		"no root":           {`a ::= "b"`, `no rule "root"`},
		"open literal":      {`root ::= "a`, "ends within quotes"},
		"open class":        {`root ::= [a`, "ends within quotes"},
		"open group":        {`root ::= ("a"`, "want )"},
		"undefined":         {`root ::= other`, `"other" is not defined`},
		"twice":             {"root ::= \"a\"\nroot ::= \"b\"", "line 2: rule \"root\" is there twice"},
		"no arrow":          {`root = "a"`, "want ::="},
		"left recursion":    {`root ::= root "a" | "a"`, "begins with itself"},
		"hidden left":       {"root ::= e root \"a\" | \"b\"\ne ::= \"x\"?", "begins with itself"},
		"left of two":       {"root ::= x \"a\" | \"c\"\nx ::= root \"b\"", "begins with itself"},
		"no text":           {`root ::= "a" root`, "no text matches"},
		"itself alone":      {`root ::= root`, "no text matches"},
		"nothing to repeat": {`root ::= *`, "want the end"},
		"too often":         {`root ::= "a"{99999999999}`, "want at most"},
		"backwards":         {`root ::= "a"{3,2}`, "3 to 2 times"},
		"nested repeats":    {"root ::= " + strings.Repeat("(", 10) + `"a"` + strings.Repeat("{9999})", 10), "too large"},
		"escape":            {`root ::= "\q"`, "unknown escape"},
		"surrogate":         {`root ::= "\ud800"`, "no character"},
		"token":             {`root ::= <[12]>`, "not supported"},
		"deep":              {"root ::= " + strings.Repeat("(", 200_000), "groups within"},
		"large":             {"root ::= \"" + strings.Repeat("a", 2<<20) + "\"", "bytes"},
		"not UTF-8":         {"root ::= \"\xff\"", "not UTF-8"},
		"class down":        {"root ::= [z-a]", "down"},
	} {
		begun := time.Now()
		_, err := parseGBNF(tc.source)
		if !errors.Is(err, llm.ErrBadRequest) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want ErrBadRequest with %q", name, err, tc.want)
		}
		if d := time.Since(begun); d > time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
}

// TestGrammar_boundsAmbiguity matches a text that can be read in ever more ways.
func TestGrammar_boundsAmbiguity(t *testing.T) {
	g, err := parseGBNF("root ::= x\nx ::= \"a\" x \"b\" | \"a\" x \"c\" | \"a\" x y | \"a\" x x |\"a\"\ny ::= [a-z] | x y")
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMatcher(g)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	_, err = m.after(m.root, strings.Repeat("a", 100_000))
	if !errors.Is(err, llm.ErrBadRequest) {
		t.Errorf("error %v, want ErrBadRequest", err)
	}
	if d := time.Since(begun); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
}

func FuzzGrammar(f *testing.F) {
	f.Add(`root ::= ("a" | [b-d]{2,3})* "\u00e9"?`, "abé")
	f.Add("root ::= x*\nx ::= y # c\ny ::= \"a\"?", "aa")
	f.Add("root ::= \"(\" root \")\" | .", "(x)")
	f.Add(strings.TrimSpace("root ::= value\n"+jsonRules), `{"a":[1,2.5e3,"\u0041",null]}`)
	f.Fuzz(func(t *testing.T, source, text string) {
		g, err := parseGBNF(source)
		if err != nil {
			if !errors.Is(err, llm.ErrBadRequest) {
				t.Errorf("error %v, want ErrBadRequest", err)
			}
			return
		}
		m, err := newMatcher(g)
		if err != nil {
			return
		}
		whole, err := m.after(m.root, text)
		if err != nil {
			return
		}
		s := m.root
		for i := range len(text) { // byte by byte it is the same
			if s, err = m.after(s, text[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if s != whole {
			t.Errorf("%q in pieces comes to another state", text)
		}
	})
}
