package models

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

func TestRemote(t *testing.T) {
	o := Remote()
	for _, p := range o.Providers {
		_, known := o.Model(p.Name + "/" + p.CheckModel)
		for _, m := range o.Models {
			known = known || m.Provider == p.Name && m.ModelID == p.CheckModel
		}
		if p.Enabled || p.AllowTraining || p.Title == "" || p.KeyEnv == "" || p.Terms != TermsRestricted || p.TermsNote == "" ||
			p.Requests == 0 || p.CheckModel == "" || p.Origin != "catalogue" {
			t.Errorf("provider %+v", p)
		}
		if !known && !strings.HasSuffix(p.CheckModel, "-latest") {
			t.Errorf("%s: trial model %q is not in the table", p.Name, p.CheckModel)
		}
	}
	for _, m := range o.Models {
		if m.Name == "" || m.ModelID == "" || m.QualityScore <= 0 || m.SpeedScore <= 0 || len(m.Specialization) == 0 || m.Terms == "" || m.Origin != "catalogue" {
			t.Errorf("model %+v", m)
		}
		if _, err := time.Parse(time.DateOnly, m.AsOf); (err == nil) != (m.InputCost != nil) {
			t.Errorf("%s: price %v as of %q", m.ID, m.InputCost, m.AsOf)
		}
		if m.InputCost != nil && (*m.OutputCost < *m.InputCost || m.CachedCost != nil && *m.CachedCost > *m.InputCost) {
			t.Errorf("%s: costs %v, %v, %v", m.ID, *m.InputCost, m.CachedCost, *m.OutputCost)
		}
		for _, s := range m.Specialization {
			if !strings.Contains("general reasoning code creative analysis classification", s) {
				t.Errorf("%s: specialization %q", m.ID, s)
			}
		}
	}
}

func TestRemote_hasTheFamilies(t *testing.T) {
	for _, id := range []string{
		"openai/gpt-4-turbo", "openai/gpt-4o", "openai/gpt-3.5-turbo",
		"anthropic/claude-3-opus", "anthropic/claude-3.5-sonnet", "anthropic/claude-3-haiku",
		"google/gemini-pro", "google/gemini-1.5-pro",
		"together/llama-3.1-405b", "huggingface/llama-3.1-70b", "huggingface/llama-3.2-3b",
		"huggingface/qwen-2.5-72b", "huggingface/qwen-2.5-7b", "mistral/mistral-large", "deepseek/deepseek-coder",
	} {
		if _, ok := Remote().Model(id); !ok {
			t.Errorf("%s is missing", id)
		}
	}
}

// owner parses a config.yaml's two sections.
func owner(t *testing.T, text string) (Offers, error) {
	t.Helper()
	var raw struct{ Providers, Models map[string]any }
	if err := yaml.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	return Remote().With(raw.Providers, raw.Models)
}

func TestOffers_With(t *testing.T) {
	o, err := owner(t, `
providers:
  openai: {enabled: true}
  lab: {base_url: "http://127.0.0.1:8000/v1", dialect: vllm, enabled: true, terms: open}
models:
  openai/gpt-4o: {enabled: false, output_cost_per_1k: 0.02}
  lab/qwen: {model_id: Qwen/Qwen3-8B, input_cost_per_1k: 0, output_cost_per_1k: 0, context_size: 4096}
`)
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := o.Provider("openai"); !p.Enabled || p.KeyEnv != "OPENAI_API_KEY" || p.Origin != "config.yaml" {
		t.Errorf("openai: %+v", p)
	}
	if m, _ := o.Model("openai/gpt-4o"); m.Enabled || *m.OutputCost != 0.02 || *m.InputCost != 0.0025 || m.Name != "GPT-4o" || m.Origin != "config.yaml" {
		t.Errorf("gpt-4o: %+v", m)
	}
	if m, _ := Remote().Model("openai/gpt-4o"); !m.Enabled || *m.OutputCost != 0.01 {
		t.Errorf("the catalogue has changed: %+v", m)
	}
	m, p, ok := o.Find("lab/qwen")
	if !ok || m.ModelID != "Qwen/Qwen3-8B" || m.Terms != TermsOpen || *m.InputCost != 0 || m.QualityScore != 5 || !m.Enabled || p.API != APIOpenAI {
		t.Errorf("lab/qwen: %+v of %+v", m, p)
	}
	if m, _, ok := o.Find("openai/gpt-9"); !ok || m.ModelID != "gpt-9" || m.InputCost != nil || m.Terms != TermsRestricted {
		t.Errorf("a model of tomorrow: %+v, %t", m, ok)
	}
	for _, id := range []string{"nobody/x", "gemma", "openai", "openai/"} {
		if _, _, ok := o.Find(id); ok {
			t.Errorf("found %q", id)
		}
	}
}

func TestOffers_WithRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"providers: {openai: {enbled: true}}":                                `provider "openai": `,
		"providers: {openai: {enabled: perhaps}}":                            `provider "openai": `,
		"providers: {lab: {enabled: true}}":                                  "base_url is missing",
		"providers: {Lab: {base_url: \"http://x\"}}":                         "lower-case",
		"providers: {ollama: {base_url: \"http://x\"}}":                      "other than",
		"providers: {lab: {base_url: \"http://x\", api: soap}}":              `api is "soap"`,
		"providers: {openai: {terms: none}}":                                 `terms is "none"`,
		"providers: {openai: {requests_per_minute: -1}}":                     "negative",
		"providers: {openai: {hedge_after_seconds: -1}}":                     "want 0 to 3600",
		"models: {nobody/x: {}}":                                             `no provider "nobody"`,
		"models: {openai/x: {input_cost_per_1k: 1}}":                         "one cost",
		"models: {openai/x: {input_cost_per_1k: -1, output_cost_per_1k: 1}}": "input_cost_per_1k is -1",
		"models: {openai/gpt-4o: {quality_score: 11}}":                       "score",
		"models: {openai/gpt-4o: {model_id: \"\"}}":                          "model_id",
		"models: {openai/gpt-4o: {temrs: open}}":                             `model "openai/gpt-4o": `,
		"models: {openai/gpt-4o: {context_size: -1}}":                        "size",
	} {
		_, err := owner(t, text)
		if !errors.Is(err, ErrInvalidOffer) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", text, err, want)
		}
	}
}
