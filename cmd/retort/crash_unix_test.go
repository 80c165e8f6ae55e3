//go:build unix

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ebitengine/purego"

	"retort/dataset"
	"retort/llm"
	"retort/local/llamacpp"
)

// crashHome names, to the child of TestCrashInEngine, the set-up home; the store
// is in crashStore.
const (
	crashHome  = "RETORT_CRASH_HOME"
	crashStore = "RETORT_CRASH_STORE"
)

// TestCrashInEngine has a process keep examples while a model answers, until C
// code ends it in the middle of a decode as a failed assertion does. Everything
// that was acknowledged must be there.
func TestCrashInEngine(t *testing.T) {
	home := os.Getenv("RETORT_TEST_HOME")
	if home == "" {
		t.Skip("RETORT_TEST_HOME is not set")
	}
	store := filepath.Join(t.TempDir(), "store")
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashInEngine_child$", "-test.v")
	cmd.Env = append(os.Environ(), crashHome+"="+home, crashStore+"="+store)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "kept "); ok {
			acknowledged = append(acknowledged, id)
		}
	}
	if err := cmd.Wait(); err == nil || len(acknowledged) == 0 {
		t.Fatalf("the child ended with %v after %d examples, want it to be ended after some", err, len(acknowledged))
	}
	s, err := dataset.Open(store, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, id := range acknowledged {
		if _, err := s.Get(t.Context(), id); err != nil {
			t.Errorf("example %s was acknowledged: %v", id, err)
		}
	}
	t.Logf("%d examples were acknowledged", len(acknowledged))
}

func TestCrashInEngine_child(t *testing.T) {
	home, dir := os.Getenv(crashHome), os.Getenv(crashStore)
	if home == "" {
		t.Skip("a child of TestCrashInEngine")
	}
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := llamacpp.Load(filepath.Join(home, "engine"))
	if err != nil {
		t.Fatal(err)
	}
	m := openFile(t, engine, starterFile(t, home, "smollm2-135m-instruct"), llamacpp.Options{})
	abort, err := purego.Dlsym(purego.RTLD_DEFAULT, "abort")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	req := llm.Request{Messages: []llm.Message{llm.User("Count to one hundred.")}, Sampling: llm.Sampling{MaxOutputTokens: 200}}
	for ev, err := range m.Generate(t.Context(), req) {
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := ev.(llm.Text); !ok {
			continue
		}
		ex := dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User(fmt.Sprint(n))}, Response: "kept", QualityScore: 0.9, TaskType: "crash"})
		if _, err := s.Put(t.Context(), ex); err != nil {
			t.Fatal(err)
		}
		fmt.Println("kept", ex.ID)
		if n++; n == 20 {
			purego.SyscallN(abort)
		}
	}
	t.Fatal("still alive")
}
