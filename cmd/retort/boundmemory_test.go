package main

import "testing"

func TestStreamingFor(t *testing.T) {
	for free, want := range map[uint64]int64{
		0:         leastStreamingMemory,
		200 << 20: 150 << 20,
		300 << 20: 225 << 20,
		24 << 30:  streamingMemory,
		1<<64 - 1: streamingMemory,
	} {
		if got := streamingFor(free, true); got != want {
			t.Errorf("%d MiB free: %d MiB, want %d", free>>20, got>>20, want>>20)
		}
	}
	if got := streamingFor(0, false); got != streamingMemory {
		t.Errorf("nothing known: %d MiB", got>>20)
	}
}
