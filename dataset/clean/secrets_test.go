package clean

import (
	"slices"
	"strings"
	"testing"

	"github.com/zricethezav/gitleaks/v8/detect"
)

func TestMayHoldKey(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                  false,
		"the key: internationalisation":     false, // letters alone pass
		"the key: a1b2c3d4e5f":              false, // too short
		"the key: a1b2c3d4e5f6":             true,
		"x=abcdefghijk":                     true,
		"Zm9vYmFyYmF6/+==":                  true,
		"9 towels and 14 keys":              false,
		"key = \u212aabcdefghij":            true,
		"Übergrößenträgerinnenausschüsse 1": false,
	} {
		if got := mayHoldKey(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// The shortcut is made for this rule. Where another version of gitleaks has
// another one, look whether mayHoldKey still lets all of its keys through.
func TestMayHoldKey_isForThisRule(t *testing.T) {
	scan, err := leaks()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(scan.rules, func(r secretRule) bool { return r.id == genericRule })
	rule := scan.rules[i].detector().Config.Rules[genericRule]
	const key = `([\w.=-]{10,150}|[a-z0-9][a-z0-9+/]{11,}={0,3})`
	if !strings.Contains(rule.Regex.String(), key) || rule.Entropy != 3.5 || rule.SecretGroup != 0 {
		t.Errorf("pattern %s, entropy %g, group %d", rule.Regex, rule.Entropy, rule.SecretGroup)
	}
	passes := false
	for _, list := range rule.Allowlists {
		for _, re := range list.Regexes {
			passes = passes || re.String() == `^[a-zA-Z_.-]+$` && list.RegexTarget == "" && len(list.Regexes) == 1
		}
	}
	if !passes {
		t.Error("letters, dots and dashes alone do not pass")
	}
}

// FuzzSecrets: rule by rule, something is found where gitleaks finds it.
func FuzzSecrets(f *testing.F) {
	scan, err := leaks()
	if err != nil {
		f.Fatal(err)
	}
	whole, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"use ghp_16C7e42F292c6912E7710c838347Ae178B4a", `api_key = "a8f5f167f44f4964e6c998dee827110c"`,
		"password: Zm9vYmFy1zE93xQw,", "token=>k3y.with-dots_and=7", "AKIAIOSFODNN7EXAMPLQ", "secret = \u212aq9w8e7r6t5y4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := len(whole.DetectString(text)) > 0
		if got := scan.find(text); (got != "") != want {
			t.Errorf("%q: found %q, gitleaks finds one: %v", text, got, want)
		}
	})
}
