package clean

import (
	"fmt"
	"sync"

	"github.com/zricethezav/gitleaks/v8/detect"
)

// leaks is gitleaks' detector with its own rules. Making it takes a quarter of a
// second (it compiles 222 patterns), so that is done once, and only when needed.
var leaks = sync.OnceValues(detect.NewDetectorDefaultConfig)

// secretScan looks for keys and passwords in examples. Several goroutines may use
// it, as gitleaks itself scans files.
type secretScan struct{ detector *detect.Detector }

func newSecretScan() (*secretScan, error) {
	d, err := leaks()
	if err != nil {
		return nil, fmt.Errorf("load rules for secrets: %w", err)
	}
	return &secretScan{detector: d}, nil
}

// find names the rule that text breaks, "" if none. The secret itself is never
// part of it, since reports are shown and kept.
func (s *secretScan) find(text string) string {
	if found := s.detector.DetectString(text); len(found) > 0 {
		return found[0].RuleID
	}
	return ""
}
