package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/llm"
)

func noFlags() *cli.Context {
	return cli.NewContext(nil, flag.NewFlagSet("retort", flag.ContinueOnError), nil)
}

func TestCleaning_isRemembered(t *testing.T) {
	r := retortWith(t, "")
	var stderr bytes.Buffer
	r.stderr = &stderr
	if v := r.lastCleaning(); v != nil || stderr.Len() > 0 {
		t.Errorf("in a new home: %v, %s", v, stderr.String())
	}
	ask := func(text, answer string) dataset.Example {
		return dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User(text)}, Response: answer, QualityScore: 0.9})
	}
	sel, err := clean.Select(t.Context(), []dataset.Example{ask("a", "b"), ask("A!", "b"), ask("c", "Ask anna.schmidt@posteo.de"), ask("d", " ")}, clean.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := cleaningOf(sel, noFlags(), "finetune")
	if want.Considered != 4 || want.Kept != 1 || want.Duplicates != 1 || want.Quarantined != 1 || time.Since(want.At) > time.Minute {
		t.Errorf("%+v", want)
	}
	r.remember(want)
	if diff := cmp.Diff(&want, r.lastCleaning()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := os.WriteFile(r.path(cleaningFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if v := r.lastCleaning(); v != nil || !strings.Contains(stderr.String(), "is not known: read ") {
		t.Errorf("damaged: %v, %s", v, stderr.String())
	}
}

// A home that cannot be written to is no reason not to train.
func TestCleaning_neverStandsInTheWay(t *testing.T) {
	r := retortWith(t, "")
	var stderr bytes.Buffer
	r.stderr = &stderr
	if err := os.RemoveAll(r.path()); err != nil {
		t.Fatal(err)
	}
	r.remember(cleaning{})
	if !strings.HasPrefix(stderr.String(), "learning-stats will not know") {
		t.Errorf("stderr: %s", stderr.String())
	}
}

func TestCleaningText(t *testing.T) {
	at := time.Date(2026, 11, 25, 14, 2, 0, 0, time.Local)
	for want, v := range map[string]*cleaning{
		"🧹 Cleaning: not done yet; `retort learning-stats --check` does it\n": nil,
		"🧹 Cleaning (as of 2026-11-25 14:02, 10 examples to train on of task code of quality 0.8 or more then):\n" +
			"  Kept: 3\n  Duplicates: 3 (1 exact duplicate, 2 near duplicate)\n  Quarantined: 2 (2 personal data)\n  Left out otherwise: 2 (2 terms)\n": {
			At: at, TaskType: "code", MinQuality: 0.8, Considered: 10, Kept: 3, Duplicates: 3, Quarantined: 2,
			Excluded: map[clean.Reason]int{clean.ExactDuplicate: 1, clean.NearDuplicate: 2, clean.PersonalData: 2, clean.Terms: 2}},
		"🧹 Cleaning (as of 2026-11-25 14:02, 5 examples to train on then):\n  Kept: 5\n  Duplicates: 0\n  Quarantined: 0\n": {At: at, Considered: 5, Kept: 5},
	} {
		if diff := cmp.Diff(want, cleaningText(v)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestReadinessRow(t *testing.T) {
	for n, want := range map[int][]string{
		1:    {"  code", "1", "not yet", "99 more until ready"},
		100:  {"  code", "100", "ready", "400 more until recommended"},
		999:  {"  code", "999", "recommended", "1 more until ideal"},
		1000: {"  code", "1000", "ideal", ""},
	} {
		got := readinessRow("code", dataset.TaskStats{Training: n, Readiness: dataset.ReadinessOf(n)})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d (-want +got):\n%s", n, diff)
		}
	}
}

func TestArithmetic(t *testing.T) {
	policy := dataset.DefaultPolicy()
	tests := map[string]struct {
		ex   dataset.Example
		want why
	}{
		"plain":       {dataset.Example{QualityScore: 0.8}, why{Judged: 0.8, Score: 0.8, Passes: true}},
		"all bonuses": {dataset.Example{QualityScore: 0.8, BaseQuality: new(0.7), ModelsAgreed: true, UserFeedback: 4}, why{Judged: 0.7, AgreementBonus: 0.05, FeedbackBonus: 0.05, Score: 0.8, Passes: true}},
		"no room":     {dataset.Example{QualityScore: 0.98, ModelsAgreed: true, UserFeedback: 5}, why{Judged: 0.98, AgreementBonus: 0.02, Score: 1, Passes: true}},
		"refused":     {dataset.Example{QualityScore: 0.9, ModelsAgreed: true, UserFeedback: 1}, why{Judged: 0.9, AgreementBonus: 0.05, FeedbackBonus: -0.3, Score: 0.65}},
		"poor":        {dataset.Example{QualityScore: 0.7}, why{Judged: 0.7, Score: 0.7}},
	}
	for name, test := range tests {
		test.want.MinQuality = 0.7
		for _, p := range []dataset.Policy{policy, {}} {
			got := arithmetic(p, test.ex)
			if got.Verdict == "" {
				t.Errorf("%s: no verdict", name)
			}
			got.Verdict = ""
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}
