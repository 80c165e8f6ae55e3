//go:build !race

package llamacpp

const slowdown = 1
