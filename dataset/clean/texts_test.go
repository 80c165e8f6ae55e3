package clean

import (
	"strings"
	"testing"
)

func TestTexts(t *testing.T) {
	long := strings.Repeat("a b c d e f g ", 1) + "h i j k l m n o p q r s t u v w x y z and so on to the end of it"
	for name, c := range map[string]struct {
		a, b string
		same bool
	}{
		"equal":                {"What is the capital of France?", "What is the capital of France?", true},
		"case and marks":       {"What is the capital of France?", "what is THE capital, of france", true},
		"accents":              {"Où est le café du marché?", "ou est le cafe du marche", true},
		"another noun":         {"What is the capital of France?", "What is the capital of Spain?", false},
		"one word more at end": {"Please tell me how I can transfer money to a friend abroad", "Please tell me how I can transfer money to a friend abroad today", true},
		"other words":          {"How do I open an account?", "Which card has the lowest fee?", false},
		"one word":             {"Why?", "Who?", false},
		"only marks":           {"=?", "=!", false},
		"long, one word else":  {long, strings.Replace(long, "so", "thus", 1), true},
		"long, cut in half":    {long, long[:len(long)/2], false},
		"no spaces":            {"東京の天気はどうですか", "東京の天気はどうですか?", true},
	} {
		var texts Texts
		if !texts.Add(c.a) {
			t.Errorf("%s: the first text is not new", name)
		}
		if got := !texts.Add(c.b); got != c.same {
			t.Errorf("%s: the same is %v, want %v", name, got, c.same)
		}
	}
}
