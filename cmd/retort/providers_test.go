package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/goccy/go-yaml"

	"retort/internal/config"
	"retort/models"
	"retort/remote"
	"retort/remote/openai"
)

// TestProvidersPage_isTrue holds that every config.yaml in docs/providers.md is one.
func TestProvidersPage_isTrue(t *testing.T) {
	page, err := os.ReadFile("../../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of YAML, want 2", len(blocks))
	}
	for _, b := range blocks {
		var file struct{ Providers, Models map[string]any }
		if err := yaml.Unmarshal(b[1], &file); err != nil {
			t.Fatal(err)
		}
		if _, err := models.Remote().With(file.Providers, file.Models); err != nil {
			t.Errorf("%v in\n%s", err, b[1])
		}
	}
	for _, d := range openai.Dialects() {
		if !regexp.MustCompile(`[ ,]` + d + `[,\n]`).Match(page) {
			t.Errorf("dialect %q is not on the page", d)
		}
	}
}

// TestCatalogue_dialectsAreKnown joins the two tables that cannot see each other.
func TestCatalogue_dialectsAreKnown(t *testing.T) {
	for _, p := range models.Remote().Providers {
		if p.Dialect == "" {
			continue
		}
		if _, err := openai.New(openai.Options{Options: remote.Options{Model: "m", BaseURL: p.BaseURL}, Dialect: p.Dialect}); err != nil {
			t.Error(err)
		}
	}
}

// withConfig opens a home that holds nothing but this config.yaml.
func withConfig(t *testing.T, text string) *retort {
	t.Helper()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "config.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{Getenv: func(string) (string, bool) { return "", false }, Default: map[string]string{"home": home}})
	if err != nil {
		t.Fatal(err)
	}
	return newRetort(t.Context(), &program{}, cfg, false)
}

// TestRemoteTerms follows the terms class of answers from the tables to an example.
func TestRemoteTerms(t *testing.T) {
	r := withConfig(t, "providers:\n  anthropic: {allow_training: true}\n  lab: {base_url: http://127.0.0.1:1, terms: open}\n")
	for id, want := range map[string]string{
		"openai/gpt-4o": models.TermsRestricted, "openai/of-tomorrow": models.TermsRestricted, "anthropic/claude-haiku-4-5": models.TermsOpen,
		"lab/x": models.TermsOpen, "huggingface/qwen-2.5-7b": models.TermsOpen, "huggingface/qwen-2.5-72b": models.TermsRestricted,
		"llamacpp/smollm2-135m-instruct": models.TermsOpen, "llamacpp/gemma-3-270m": models.TermsRestricted,
	} {
		if got := r.termsOf([]string{id}); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
		if got := r.termsOf([]string{id, "openai/gpt-4o"}); got != models.TermsRestricted {
			t.Errorf("%s with a restricted one: %s", id, got)
		}
	}
}

// TestRemoteModel_sharesWhatAProviderHas opens two models of one provider.
func TestRemoteModel_sharesWhatAProviderHas(t *testing.T) {
	r := withConfig(t, "providers:\n  lab: {base_url: http://127.0.0.1:1, enabled: true}\n")
	a, err := r.model(t.Context(), "lab/a")
	if err != nil {
		t.Fatal(err)
	}
	again, _ := r.model(t.Context(), "lab/a")
	if _, err := r.model(t.Context(), "lab/b"); err != nil || a != again || len(r.remotes.opened) != 2 || len(r.remotes.shared) != 1 {
		t.Errorf("%d models, %d sets of rates, error %v", len(r.remotes.opened), len(r.remotes.shared), err)
	}
}
