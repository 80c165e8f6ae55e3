package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is the import graph, from DESIGN: which of Retort's packages each
// one may use. docs/architecture.md draws it.
var mayImport = map[string][]string{
	"llm":                     nil,
	"llm/llmtest":             {"llm"},
	"models/gguf":             nil,
	"models":                  {"models/gguf", "internal/files"},
	"models/ollamastore":      nil,
	"local/ollama/ollamatest": nil, // for tests alone
	"scripts":                 nil,
	"internal/ahead":          nil,
	"internal/bench":          {"llm"},
	"internal/config":         nil,
	"internal/files":          nil,
	"internal/memory":         nil,
	"internal/rawbadger":      nil,
	"internal/scrub":          {"llm", "dataset", "internal/files"},
	"internal/setup":          {"models", "internal/files"},
	"internal/setup/realtest": nil, // a test alone
	"models/gguf/gguftest":    {"models/gguf"},
	"local/llamacpp":          {"llm", "models/gguf", "internal/memory"},
	"local/ollama":            {"llm"},
	"llm/wrap":                {"llm"},
	"remote":                  {"llm"},
	"remote/remotetest":       {"llm", "llm/llmtest", "remote"},
	"remote/openai":           {"llm", "remote"},
	"remote/anthropic":        {"llm", "remote"},
	"remote/google":           {"llm", "remote"},
	"ensemble":                {"llm", "ensemble/judge", "ensemble/meaning"},
	"ensemble/calibration":    nil,
	"ensemble/judge":          {"llm"},
	"ensemble/meaning":        nil,
	"ensemble/routing":        {"llm"},
	"dataset":                 {"llm", "dataset/journal", "internal/ahead", "internal/files"},
	"dataset/journal":         {"internal/files"},
	"dataset/forms":           {"llm", "dataset"},
	"dataset/clean":           {"llm", "dataset"},
	"dataset/socket":          {"llm", "dataset", "internal/files"},
	"trainer":                 {"llm", "dataset", "models", "scripts", "internal/files", "internal/scrub"},
}

// onlyIn lists dependencies that are kept in one package.
var onlyIn = map[string]string{
	"github.com/hybridgroup/yzma":       "local/llamacpp",
	"github.com/dgraph-io/badger":       "dataset",
	"github.com/parquet-go":             "dataset/forms",
	"github.com/zricethezav/gitleaks":   "dataset/clean",
	"github.com/ollama/ollama":          "local/ollama",
	"github.com/sashabaranov/go-openai": "remote/openai",
	"github.com/anthropics":             "remote/anthropic",
	"google.golang.org/genai":           "remote/google",
	"github.com/failsafe-go":            "llm/wrap",
	"github.com/urfave/cli":             "cmd/retort",
	"github.com/schollz/progressbar":    "cmd/retort",
}

// measures lists packages that measure a dependency by itself.
var measures = []string{"internal/rawbadger"}

func TestImportGraph(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "retort/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) < len(mayImport) {
		t.Fatalf("go list found %d packages, fewer than the %d that are known", len(lines), len(mayImport))
	}
	for _, line := range lines {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], "retort/")
		allowed, known := mayImport[pkg]
		if !known && pkg != "cmd/retort" {
			t.Errorf("package %s has no place in the graph", pkg)
			continue
		}
		for _, imp := range fields[1:] {
			if ours, ok := strings.CutPrefix(imp, "retort/"); ok && pkg != "cmd/retort" && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which the graph forbids", pkg, ours)
			}
			for dep, home := range onlyIn {
				if strings.HasPrefix(imp, dep) && pkg != home && !slices.Contains(measures, pkg) {
					t.Errorf("%s imports %s, which belongs to %s alone", pkg, imp, home)
				}
			}
		}
	}
}
