//go:build race

package llamacpp

// slowdown is how much longer Go code may take under the race detector.
const slowdown = 10
