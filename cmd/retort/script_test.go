package main

import (
	"os"
	"path/filepath"
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
			if err := gguftest.WriteHostile(filepath.Join(env.WorkDir, "hostile")); err != nil {
				return err
			}
			return linkPieces(env, home)
		},
		Condition: func(cond string) (bool, error) {
			return cond == "pieces" && os.Getenv("RETORT_TEST_HOME") != "", nil
		},
	})
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
