package llamacpp

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"retort/llm"
)

// chunks cuts s into pieces whose sizes are the bytes of cuts, over and over.
func chunks(s string, cuts []byte) []string {
	var out []string
	for i := 0; s != ""; i++ {
		n := 1
		if len(cuts) > 0 {
			n = 1 + int(cuts[i%len(cuts)])%8
		}
		n = min(n, len(s))
		out, s = append(out, s[:n]), s[n:]
	}
	return out
}

func TestStopGate(t *testing.T) {
	for name, tc := range map[string]struct {
		stops   []string
		pieces  []string
		want    string
		stopped bool
	}{
		"none":                  {nil, []string{"a", "b"}, "ab", false},
		"whole":                 {[]string{"END"}, []string{"a", "END", "b"}, "a", true},
		"across pieces":         {[]string{"END"}, []string{"aE", "N", "Db"}, "a", true},
		"within a piece":        {[]string{"b"}, []string{"abc"}, "a", true},
		"false start":           {[]string{"END"}, []string{"aE", "Nx"}, "aENx", false},
		"restart":               {[]string{"aab"}, []string{"aa", "ab"}, "a", true},
		"earliest of two":       {[]string{"c", "b"}, []string{"abcd"}, "a", true},
		"longer, begins sooner": {[]string{"\nUser:", "\n\nUser:"}, []string{"x\n", "\n", "User:"}, "x", true},
		"may begin sooner yet":  {[]string{"bc", "abcd"}, []string{"xabc", "z"}, "xa", true},
		"did begin sooner":      {[]string{"bc", "abcd"}, []string{"xabc", "d"}, "x", true},
		"held to the end":       {[]string{"END"}, []string{"aEN"}, "aEN", false},
	} {
		got, stopped := runStop(tc.stops, tc.pieces)
		if got != tc.want || stopped != tc.stopped {
			t.Errorf("%s: %q, %v; want %q, %v", name, got, stopped, tc.want, tc.stopped)
		}
	}
}

func runStop(stops, pieces []string) (string, bool) {
	g := stopGate{stops: stops}
	var out strings.Builder
	for _, p := range pieces {
		show, stopped := g.add(p)
		out.WriteString(show)
		if stopped {
			return out.String(), true
		}
	}
	show, stopped := g.rest()
	return out.String() + show, stopped
}

func FuzzStopGate(f *testing.F) {
	f.Add("one two END three", "END", "ND t", []byte{1, 2})
	f.Add("x\n\nUser:", "\nUser:", "\n\nUser:", []byte{0})
	f.Add("abcabd", "bc", "abd", []byte{3})
	f.Fuzz(func(t *testing.T, text, a, b string, cuts []byte) {
		if a == "" || b == "" {
			return
		}
		stops := []string{a, b}
		got, stopped := runStop(stops, chunks(text, cuts))
		want, wantStopped := text, false
		for _, s := range stops {
			if before, _, found := strings.Cut(text, s); found && len(before) < len(want) {
				want, wantStopped = before, true
			}
		}
		if got != want || stopped != wantStopped {
			t.Errorf("%q with stops %q in pieces %v: %q, %v; want %q, %v", text, stops, cuts, got, stopped, want, wantStopped)
		}
	})
}

func FuzzUTF8Gate(f *testing.F) {
	f.Add("héllo 😀 wörld", []byte{0})
	f.Add("a\xff\xe2\x82b\xe2", []byte{1})
	f.Fuzz(func(t *testing.T, text string, cuts []byte) {
		var g utf8Gate
		var out strings.Builder
		for _, p := range chunks(text, cuts) {
			s := g.add(p)
			if !utf8.ValidString(s) {
				t.Errorf("%q is not UTF-8", s)
			}
			out.WriteString(s)
		}
		out.WriteString(g.rest())
		if utf8.ValidString(text) && out.String() != text {
			t.Errorf("%q became %q", text, out.String())
		}
		if !utf8.ValidString(out.String()) {
			t.Errorf("%q is not UTF-8", out.String())
		}
	})
}

func TestTextStream_showsLogprobsWithTheirText(t *testing.T) {
	for name, tc := range map[string]struct {
		lead   string
		stops  []string
		pieces []string
		want   []string // text of the events, and of their tokens
	}{
		"plain":         {"", nil, []string{"a", "b"}, []string{"a:a", "b:b"}},
		"lead":          {" ", nil, []string{" a", " b"}, []string{"a: a", " b: b"}},
		"lead alone":    {" ", nil, []string{" ", "a"}, []string{": ", "a:a"}},
		"no lead":       {" ", nil, []string{"a", " b"}, []string{"a:a", " b: b"}},
		"split rune":    {"", nil, []string{"\xc3", "\xa9"}, []string{"é:\xc3|\xa9"}},
		"held back":     {"", []string{"END"}, []string{"aE", "x"}, []string{"a:", "Ex:aE|x"}},
		"stopped":       {"", []string{"END"}, []string{"aE", "ND", "x"}, []string{"a:", ":aE"}},
		"stopped whole": {"", []string{"END"}, []string{"a", "E", "ND"}, []string{"a:a"}},
	} {
		s := textStream{lead: tc.lead, stop: stopGate{stops: tc.stops}}
		var got []string
		take := func(ev llm.Text) {
			if ev.Delta == "" && len(ev.Logprobs) == 0 {
				return
			}
			var tokens []string
			for _, lp := range ev.Logprobs {
				tokens = append(tokens, lp.Token)
			}
			got = append(got, ev.Delta+":"+strings.Join(tokens, "|"))
		}
		stopped := false
		for _, p := range tc.pieces {
			if stopped {
				break
			}
			var ev llm.Text
			ev, stopped = s.add(p, &llm.TokenLogprob{Token: p})
			take(ev)
		}
		if !stopped {
			ev, _ := s.rest()
			take(ev)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// FuzzTextStream feeds an answer in any pieces, with stop texts and a lead, and
// holds the events to what callers rely on: the text does not depend on the
// pieces, no event splits a character, no stop text shows, and the tokens come
// in order, each with the event that shows its last byte.
func FuzzTextStream(f *testing.F) {
	f.Add(" héllo 😀 wörld END x", "END", "wö", " ", []byte{0})
	f.Add("漢字漢字", "字", "x", "", []byte{1, 0, 3})
	f.Add("a\xff\xe2\x82b\xe2\xff\xff", "b", "\n\nUser:", "a", []byte{1})
	f.Add("ENEND", "END", "NEN", "E", []byte{0, 1})
	f.Fuzz(func(t *testing.T, answer, a, b, lead string, cuts []byte) {
		if a == "" || b == "" || !utf8.ValidString(a+b+lead) {
			return
		}
		pieces := chunks(answer, cuts)
		got, tokens, ends := runStream(t, pieces, []string{a, b}, lead)
		if strings.Contains(got, a) || strings.Contains(got, b) {
			t.Errorf("%q shows a stop text of %q", got, []string{a, b})
		}
		if !utf8.ValidString(answer) {
			return
		}
		want := strings.TrimPrefix(answer, lead)
		if len(pieces) > 0 && len(pieces[0]) < len(lead) { // a lead is one token
			return
		}
		for _, stop := range []string{a, b} {
			if before, _, _ := strings.Cut(strings.TrimPrefix(answer, lead), stop); len(before) < len(want) {
				want = before
			}
		}
		if got != want {
			t.Errorf("%q in pieces %v: %q, want %q", answer, cuts, got, want)
		}
		// Each token is with the event in which its text ends.
		shown := len(answer) - len(strings.TrimPrefix(answer, lead))
		n := 0
		for i, end := range ends {
			n = tokens[i]
			bytes := len(strings.Join(pieces[:n], ""))
			if i < len(ends)-1 && bytes > shown+end {
				t.Errorf("after %d bytes of %q the tokens of %d bytes were shown", shown+end, answer, bytes)
			}
		}
		if bytes := len(strings.Join(pieces[:n], "")); got != "" && bytes < shown+len(got) {
			t.Errorf("the tokens of %d bytes were shown, of a text of %d", bytes, shown+len(got))
		}
	})
}

// runStream returns the text of all events, and after each the number of tokens
// and of bytes that were shown so far.
func runStream(t *testing.T, pieces, stops []string, lead string) (text string, tokens, ends []int) {
	t.Helper()
	s := textStream{lead: lead, stop: stopGate{stops: stops}}
	n := 0
	take := func(ev llm.Text) {
		if !utf8.ValidString(ev.Delta) {
			t.Errorf("delta %q is not UTF-8", ev.Delta)
		}
		text += ev.Delta
		for _, lp := range ev.Logprobs {
			if n >= len(pieces) || lp.Token != pieces[n] {
				t.Fatalf("token %d is %q", n, lp.Token)
			}
			n++
		}
		tokens, ends = append(tokens, n), append(ends, len(text))
	}
	for _, p := range pieces {
		ev, stopped := s.add(p, &llm.TokenLogprob{Token: p})
		take(ev)
		if stopped {
			return text, tokens, ends
		}
	}
	ev, _ := s.rest()
	take(ev)
	return text, tokens, ends
}
