package scripts_test

import (
	"bytes"
	"io/fs"
	"os"
	"regexp"
	"testing"

	"retort/scripts"
)

// A run directory must hold every module that its entry reaches.
func TestFiles_holdsWhatTheEntryImports(t *testing.T) {
	imported := regexp.MustCompile(`(?m)^\s*(?:import|from) (\w+)`)
	seen := map[string]bool{}
	queue := []string{scripts.Entry}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		source, err := fs.ReadFile(scripts.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range imported.FindAllSubmatch(source, -1) {
			module := string(match[1]) + ".py"
			if _, err := os.Stat(module); err == nil {
				queue = append(queue, module)
			}
		}
	}
	if len(seen) < 5 {
		t.Errorf("reached only %v", seen)
	}
}

func TestFiles_runByHand(t *testing.T) {
	script, err := fs.ReadFile(scripts.Files(), "run.sh")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(script, []byte("#!/bin/sh\n")) || !bytes.Contains(script, []byte(scripts.Entry)) {
		t.Errorf("run.sh does not call %s:\n%s", scripts.Entry, script)
	}
}

func TestRequirements_hasDigests(t *testing.T) {
	if !bytes.Contains(scripts.Requirements(), []byte("--hash=sha256:")) {
		t.Error("requirements.lock has no digests")
	}
}
