package main

import (
	"errors"
	"io"
	"testing"
)

var errFull = errors.New("full")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

// TestProgram_fullDisk holds that a verb whose words are lost does not end as one that
// was heard.
func TestProgram_fullDisk(t *testing.T) {
	for _, args := range [][]string{{"config", "show"}, {"config", "get", "threads"}, {"config", "show", "--json"}} {
		env := map[string]string{"RETORT_HOME": t.TempDir()}
		p := &program{stdout: fullDisk{}, stderr: io.Discard, getenv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
		err := p.app().RunContext(t.Context(), append([]string{"retort"}, args...))
		if !errors.Is(err, errFull) || p.report(t.Context(), err) != exitError {
			t.Errorf("%q: error %v", args, err)
		}
	}
}
