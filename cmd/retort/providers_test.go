package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/goccy/go-yaml"

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
