package models

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestCatalogue(t *testing.T) {
	entries := Catalogue()
	if len(entries) != 2 {
		t.Fatalf("%d entries", len(entries))
	}
	digest := func(s string) bool { b, err := hex.DecodeString(s); return err == nil && len(b) == 32 }
	seen := map[string]bool{}
	for _, e := range entries {
		parts := 0
		for _, p := range e.Packages {
			if p.Name == "" || p.Version == "" || !digest(p.SHA256) || p.Member != "" && !filepath.IsLocal(p.Member) {
				t.Errorf("%s: package %+v", e.ID, p)
			}
			if p.Member != "" {
				parts++
			}
		}
		switch {
		case !ValidID(e.ID) || seen[e.ID]:
			t.Errorf("ID %q", e.ID)
		case e.Name == "" || e.License == "" || !filepath.IsLocal(e.LicenseFile) || e.Architecture == "":
			t.Errorf("%s: a field is empty", e.ID)
		case e.Terms != TermsOpen && e.Terms != TermsRestricted:
			t.Errorf("%s: terms %q", e.ID, e.Terms)
		case !digest(e.SHA256) || e.Size <= 0 || parts == 0:
			t.Errorf("%s: digest %q, size %d, %d parts", e.ID, e.SHA256, e.Size, parts)
		case e.QualityScore <= 0 || e.QualityScore > 10 || e.SpeedScore <= 0 || e.SpeedScore > 10 || len(e.Specialization) == 0:
			t.Errorf("%s: scores %v, %v, %q", e.ID, e.QualityScore, e.SpeedScore, e.Specialization)
		}
		seen[e.ID] = true
	}
}

func TestCatalogue_matchesWhatWasFetched(t *testing.T) {
	home := os.Getenv("RETORT_TEST_HOME")
	if home == "" {
		t.Skip("RETORT_TEST_HOME is not set: no real models")
	}
	r := &Registry{dir: filepath.Join(home, "models")}
	for _, e := range Catalogue() {
		m, err := r.Get(e.ID)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		if m.Digest != "sha256:"+e.SHA256 || m.Size != e.Size || m.Architecture != e.Architecture {
			t.Errorf("%s: %+v does not match %+v", e.ID, m, e)
		}
	}
}

func TestEntry_quality(t *testing.T) {
	e := Entry{QualityScore: 2, QualityByTask: map[string]float64{"classification": 8}, Specialization: []string{"classification", "code"}}
	for task, want := range map[string]float64{"classification": 8, "code": 2.5, "creative": 2, "": 2} {
		if got := e.Quality(task); got != want {
			t.Errorf("quality for %q is %g, want %g", task, got, want)
		}
	}
}
