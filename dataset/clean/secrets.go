package clean

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	ahocorasick "github.com/BobuSumisu/aho-corasick"
	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/detect"
)

// genericRule is gitleaks' rule for whatever looks like a key and is called one. Its
// words ("key", "token") are in much prose, and its pattern takes a hundred times
// longer than all other rules together: it is only tried where mayHoldKey.
const genericRule = "generic-api-key"

// leaks are gitleaks' own rules. Reading them takes a quarter of a second (they
// compile 222 patterns), so that is done once, and only when needed.
var leaks = sync.OnceValues(func() (*secretScan, error) {
	all, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		return nil, fmt.Errorf("load rules for secrets: %w", err)
	}
	return newSecretScan(all.Config), nil
})

// secretScan looks for keys and passwords in examples. Several goroutines may use
// it, as gitleaks itself scans files. gitleaks asks each of its rules for each text;
// here a rule is only asked about texts that have one of its words, and characters
// enough in a row.
type secretScan struct {
	rules  []secretRule // by name
	always []int        // rules that want no word
	words  *ahocorasick.Trie
	asking [][]int // by word: rules that want it
}

// secretRule is one rule, and gitleaks with it alone.
type secretRule struct {
	id       string
	run      int // of characters without white space, at least
	detector func() *detect.Detector
}

func newSecretScan(c config.Config) *secretScan {
	s := &secretScan{}
	byWord := map[string][]int{}
	for _, id := range slices.Sorted(maps.Keys(c.Rules)) {
		rule := c.Rules[id]
		if rule.Regex == nil { // it is about names of files
			continue
		}
		n := len(s.rules)
		s.rules = append(s.rules, secretRule{id, leastRun(rule.Regex.String()),
			sync.OnceValue(func() *detect.Detector { return alone(c, rule) })})
		if len(rule.Keywords) == 0 {
			s.always = append(s.always, n)
		}
		for _, word := range rule.Keywords {
			word = strings.ToLower(word)
			byWord[word] = append(byWord[word], n)
		}
	}
	words := slices.Sorted(maps.Keys(byWord))
	s.words = ahocorasick.NewTrieBuilder().AddStrings(words).Build()
	for _, word := range words {
		s.asking = append(s.asking, byWord[word])
	}
	return s
}

// alone returns gitleaks with one of the rules of c.
func alone(c config.Config, rule config.Rule) *detect.Detector {
	c.Rules, c.Keywords = map[string]config.Rule{rule.RuleID: rule}, map[string]struct{}{}
	for _, word := range rule.Keywords {
		c.Keywords[strings.ToLower(word)] = struct{}{}
	}
	return detect.NewDetector(c)
}

// find names the rule that text breaks, "" if none. The secret itself is never
// part of it, since reports are shown and kept.
func (s *secretScan) find(text string) string {
	for _, n := range s.due(text) {
		if rule := s.rules[n]; len(rule.detector().DetectString(text)) > 0 {
			return rule.id
		}
	}
	return ""
}

// due lists the rules that may find something in text, in order.
func (s *secretScan) due(text string) []int {
	run, generic := longestRun(text), mayHoldKey(text)
	due := slices.Clone(s.always)
	s.words.Walk([]byte(strings.ToLower(text)), func(_, _, word int64) bool {
		for _, n := range s.asking[word] {
			rule := &s.rules[n]
			if run >= rule.run && (generic || rule.id != genericRule) && !slices.Contains(due, n) {
				due = append(due, n)
			}
		}
		return true
	})
	slices.Sort(due)
	return due
}

// minKey is the length of the shortest key that genericRule finds: with fewer
// characters the entropy that it wants, more than 3.5 bits, cannot be had.
const minKey = 12

// mayHoldKey reports whether text has a run of characters of keys that is long
// enough, and more than the letters and dots that genericRule lets pass.
func mayHoldKey(text string) bool {
	if strings.Contains(text, "\u017f") || strings.Contains(text, "\u212a") { // which are s and k where case does not count
		return true
	}
	run, odd := 0, false
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9', c == '=', c == '+', c == '/':
			run, odd = run+1, true
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == '.', c == '-':
			run++
		default:
			run, odd = 0, false
		}
		if odd && run >= minKey {
			return true
		}
	}
	return false
}
