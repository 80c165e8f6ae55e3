//go:build !linux

package bench

import (
	"errors"
	"fmt"
)

// describe knows no more than the Go runtime does.
func (m *Machine) describe() {}

func loadAverage() string { return "" }

// readUsage: only Linux tells what other programs use.
func readUsage(int, []int) (usage, bool) { return usage{}, false }

func serving(int) []int { return nil }

// Memory is told by Linux alone.
func Memory([]int) (resident, proportional int64, err error) {
	return 0, 0, fmt.Errorf("memory of processes: %w", errors.ErrUnsupported)
}

// PeakMemory is told by Linux alone.
func PeakMemory() (int64, error) { return 0, fmt.Errorf("peak memory: %w", errors.ErrUnsupported) }

// OwnMemory is told by Linux alone.
func OwnMemory() (int64, error) { return 0, fmt.Errorf("own memory: %w", errors.ErrUnsupported) }

// MemoryGroup is known to Linux alone.
type MemoryGroup struct{}

func NewMemoryGroup(int64) (*MemoryGroup, error) {
	return nil, fmt.Errorf("make a control group: %w", errors.ErrUnsupported)
}

func (g *MemoryGroup) Dir() string          { return "" }
func (g *MemoryGroup) Peak() (int64, error) { return 0, errors.ErrUnsupported }
func (g *MemoryGroup) Close() error         { return nil }

// JoinMemoryGroup is done by Linux alone.
func JoinMemoryGroup(string) error {
	return fmt.Errorf("join a control group: %w", errors.ErrUnsupported)
}
