//go:build !linux

package llamacpp

// inHugePages is f alone: other systems choose their pages themselves.
func inHugePages(f func() error) error { return f() }

const hugePages = false
