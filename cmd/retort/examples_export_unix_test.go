//go:build unix

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"retort/dataset/forms"
)

// A pipe that somebody reads stays one, and has what is exported.
func TestExportFile_pipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0) // waits for no writer
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	_, err = exportFile(t.Context(), path, func(w io.Writer) (forms.Counts, error) {
		_, err := io.WriteString(w, "new")
		return forms.Counts{}, err
	})
	if err != nil || !isStream(path) {
		t.Fatalf("%v; still a pipe: %t", err, isStream(path))
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(reader, got); err != nil || string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
}

// `examples forget` is to find an export although nobody heard that it was done.
func TestExport_closedPipe(t *testing.T) {
	dir := t.TempDir()
	retort := func(args ...string) *exec.Cmd {
		cmd := exec.Command("retort", args...)
		cmd.Env = append(os.Environ(), "RETORT_HOME="+filepath.Join(dir, "home"))
		cmd.Dir = dir
		return cmd
	}
	if out, err := retort("examples", "add", "--input", "why?", "--response", "so").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	heard, said, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	heard.Close()
	cmd := retort("examples", "export", "out.jsonl")
	cmd.Stdout = said
	if err := cmd.Run(); err == nil {
		t.Error("it ended well though nobody hears it")
	}
	records, err := filepath.Glob(filepath.Join(dir, "home", "exports", "*.json"))
	if err != nil || len(records) != 1 {
		t.Errorf("records %q, %v, want one", records, err)
	}
}
