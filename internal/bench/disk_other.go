//go:build !linux

package bench

import (
	"errors"
	"fmt"
)

// ReadDisk is told by Linux alone.
func ReadDisk(string) (d Disk, known bool, err error) { return d, false, nil }

// DropCache is done by Linux alone.
func DropCache(string) error { return fmt.Errorf("drop the cache: %w", errors.ErrUnsupported) }
