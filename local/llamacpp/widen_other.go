//go:build !linux

package llamacpp

import (
	"errors"
	"os"
)

// memoryFile fails: other systems have no files that exist in memory alone.
func memoryFile(int64) (*os.File, error) { return nil, errors.ErrUnsupported }
