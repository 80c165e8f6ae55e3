package main

import (
	"os"
	"runtime/debug"

	"retort/internal/memory"
)

// What the Go part of this process should take, in bytes, while any number of
// examples pass through it: more is mostly garbage of building Badger's tables, and
// with less the collector works without end.
const (
	streamingMemory      = 272 << 20
	leastStreamingMemory = 96 << 20
)

// boundMemory keeps to streamingFor what is free until the function that it returns
// is called. GOMEMLIMIT takes precedence.
func boundMemory() (unbound func()) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	limit, percent := debug.SetMemoryLimit(streamingFor(memory.Free())), debug.SetGCPercent(100) // seldom below the limit
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}

// streamingFor leaves a quarter of what is free, where that is known, to the files
// that are mapped, which are read from the disk again and again where they have less.
func streamingFor(free uint64, known bool) int64 {
	if !known {
		return streamingMemory
	}
	return int64(max(leastStreamingMemory, min(streamingMemory, free/4*3)))
}
