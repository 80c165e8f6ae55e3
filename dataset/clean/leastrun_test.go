package clean

import (
	"regexp"
	"testing"
)

func TestLeastRun(t *testing.T) {
	for pattern, want := range map[string]int{
		``:                              0,
		`abc`:                           3,
		`ab c d`:                        2,
		`[a-z]{16}`:                     16,
		`[a-z]{4,9}`:                    4,
		`(?i)key[a-z]{4}`:               7,
		`x[^"]{20}`:                     1,
		`x[^"\s]{20}`:                   21,
		`a*b+c?`:                        1,
		`sk_(?:live|test)_\w{10}`:       18,
		`(?:abc|d e)f`:                  2,
		`abc(?: d)?ef`:                  3,
		`\b(ab)\b$`:                     2,
		`.{9}`:                          0,
		`\S{5}\s\S{3}`:                  5,
		`[\t-z]{8}`:                     0,
		`(`:                             0,
		`[a-z ]{30}[0-9]{4}:[0-9]{3}\n`: 8,
	} {
		if got := leastRun(pattern); got != want {
			t.Errorf("%s: %d, want %d", pattern, got, want)
		}
	}
}

func TestLongestRun(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "a bcd ef": 3, "\tab\ncde\r": 3, "é é": 2, "a\u00a0b c": 4} {
		if got := longestRun(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// Nearly all rules for secrets must be told apart from prose.
func TestLeastRun_ofTheRules(t *testing.T) {
	scan, err := leaks()
	if err != nil {
		t.Fatal(err)
	}
	long := 0
	for _, r := range scan.rules {
		if r.run >= 14 {
			long++
		}
	}
	if long < len(scan.rules)*9/10 {
		t.Errorf("%d of %d rules want 14 characters in a row or more", long, len(scan.rules))
	}
}

// FuzzLeastRun: whatever a pattern matches has the run.
func FuzzLeastRun(f *testing.F) {
	for _, pattern := range []string{`ab|c d`, `(?i)k+[^x]s`, `a{2,5}(b|\s)*c`, `\bx.y\b`, `[[:space:]]q`, `(?s)a.b`, `^\W{3}$`, `(a|b c)(d e|f)`} {
		f.Add(pattern, "ab c dd k  s aabbc x y\tq é a\nb ?!; a d e b cf")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return
		}
		least := leastRun(pattern)
		for _, match := range re.FindAllString(text, 10) {
			if got := longestRun(match); got < least {
				t.Fatalf("%q matches %s, of which every text has %d in a row", match, pattern, least)
			}
		}
	})
}
