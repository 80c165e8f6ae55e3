//go:build !linux

package files

import "os"

// SyncData makes what was written to f durable.
func SyncData(f *os.File) error { return f.Sync() }
