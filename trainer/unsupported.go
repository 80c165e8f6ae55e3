//go:build !unix

package trainer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// lock keeps Train from starting where a process and its descendants cannot be
// held together; everything else in this package works.
func (r *Run) lock() (*os.File, error) {
	return nil, fmt.Errorf("run %q: training needs Linux or macOS (on Windows, use WSL): %w", r.ID, errors.ErrUnsupported)
}

func (r *Run) locked() bool    { return false }
func ownGroup(*exec.Cmd)       {}
func awaitExit(int)            {}
func interruptGroup(int) error { return errors.ErrUnsupported }
func killGroup(int) error      { return errors.ErrUnsupported }
func processStart(int) string  { return "" }
