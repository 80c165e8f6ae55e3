package clean

import (
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/detect"
)

// genericRule is gitleaks' rule for whatever looks like a key and is called one. Its
// words ("key", "token") are in much prose, and its pattern takes a hundred times
// longer than all other rules together: it is only tried where mayHoldKey.
const genericRule = "generic-api-key"

// leaks are gitleaks' own rules, in two detectors. Making them takes a quarter of a
// second (they compile 222 patterns), so that is done once, and only when needed.
var leaks = sync.OnceValues(func() (secretScan, error) {
	all, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		return secretScan{}, fmt.Errorf("load rules for secrets: %w", err)
	}
	rest, generic := all.Config, all.Config
	rest.Rules = maps.Clone(rest.Rules)
	delete(rest.Rules, genericRule)
	generic.Rules = map[string]config.Rule{genericRule: all.Config.Rules[genericRule]}
	return secretScan{detect.NewDetector(rest), detect.NewDetector(generic)}, nil
})

// secretScan looks for keys and passwords in examples. Several goroutines may use
// it, as gitleaks itself scans files.
type secretScan struct{ rest, generic *detect.Detector }

// find names the rule that text breaks, "" if none. The secret itself is never
// part of it, since reports are shown and kept.
func (s secretScan) find(text string) string {
	if found := s.rest.DetectString(text); len(found) > 0 {
		return found[0].RuleID
	}
	if mayHoldKey(text) && len(s.generic.DetectString(text)) > 0 {
		return genericRule
	}
	return ""
}

// minKey is the length of the shortest key that genericRule finds: with fewer
// characters the entropy that it wants, more than 3.5 bits, cannot be had.
const minKey = 12

// mayHoldKey reports whether text has a run of characters of keys that is long
// enough, and more than the letters and dots that genericRule lets pass.
func mayHoldKey(text string) bool {
	if strings.ContainsAny(text, "\u017f\u212a") { // which are s and k where case does not count
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
