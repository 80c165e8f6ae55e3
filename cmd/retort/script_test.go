package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"retort/models/gguf/gguftest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"retort": main})
}

// TestScripts drives the real program as users do: one script for each part of
// its surface. Those named real_* need the engine, the starter models and Python
// of a set-up home (RETORT_TEST_HOME).
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("RETORT_HOME", home)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GORACE", os.Getenv("GORACE"))
			startProviders(env)
			if err := writeHostile(filepath.Join(env.WorkDir, "hostile")); err != nil {
				return err
			}
			return linkPieces(env, home)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "interrupt": interrupt, "await": awaitCmd, "smalldisk": smallDisk, "long": long, "hold": hold, "release": release,
			"left": left, "trained": trained},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "pieces":
				return os.Getenv("RETORT_TEST_HOME") != "", nil
			case "smalldisk":
				return canMount(), nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

// status runs a program and wants an exit status: status 2 retort brew.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE PROGRAM [ARG ...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

// long writes a file of that many words: long words.txt 9000.
func long(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: long FILE WORDS")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat("again ", n)), 0o600))
}

var notInFileName = regexp.MustCompile(`[^a-z0-9]+`)

// writeHostile writes the corpus of hostile GGUFs as files.
func writeHostile(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, c := range gguftest.Hostile() {
		name := notInFileName.ReplaceAllString(strings.ToLower(c.Name), "-") + ".gguf"
		if err := os.WriteFile(filepath.Join(dir, name), c.Data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// linkPieces puts the engine, Python and the unpacked bases of the test home
// into the script's own home, and names the starter models' files.
func linkPieces(env *testscript.Env, home string) error {
	from := os.Getenv("RETORT_TEST_HOME")
	if from == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(home, "cache"), 0o700); err != nil {
		return err
	}
	scripts, err := filepath.Abs("../../scripts")
	if err != nil {
		return err
	}
	env.Setenv("SCRIPTS", scripts)
	env.Setenv("PYTHON", filepath.Join(from, "python", "bin", "python"))
	bases := filepath.Join(from, "cache", "bases")
	if err := os.MkdirAll(bases, 0o700); err != nil {
		return err
	}
	for _, piece := range []string{"engine", "python", "cache/bases"} {
		if err := os.Symlink(filepath.Join(from, piece), filepath.Join(home, piece)); err != nil {
			return err
		}
	}
	for name, id := range map[string]string{"SMOLLM2": "smollm2-135m-instruct", "GEMMA": "gemma-3-270m"} {
		files, err := filepath.Glob(filepath.Join(from, "models", id, "*.gguf"))
		if err != nil || len(files) != 1 {
			return os.ErrNotExist
		}
		env.Setenv(name, files[0])
	}
	return nil
}
