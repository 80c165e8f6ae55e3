package bench

import (
	"context"
	"errors"
	"sync"
	"time"
)

// bandwidthBuffer is far above any cache, so that every byte comes from memory.
const bandwidthBuffer = 1 << 30

// Bandwidth returns the bytes per second that so many threads read from memory
// together, each its own part of a buffer from start to end. It is the best of
// several passes: what decoding could reach if it did nothing but read. Plain
// 64-bit loads are enough: with sixteen sums under way, waiting for memory is what
// takes the time, and wider loads read no faster (docs/benchmarks.md compares).
func Bandwidth(ctx context.Context, threads int) (float64, error) {
	buf := make([]uint64, bandwidthBuffer/8)
	for i := range buf { // a page that was never written is not in memory
		buf[i] = uint64(i)
	}
	best := 0.0
	for range 5 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		began := time.Now()
		if readAll(buf, threads) == 0 {
			return 0, errors.New("bandwidth: the buffer is empty")
		}
		best = max(best, float64(8*len(buf))/time.Since(began).Seconds())
	}
	return best, nil
}

// readAll returns the sum of buf, of which each thread adds up a part.
func readAll(buf []uint64, threads int) uint64 {
	sums := make([]uint64, threads)
	part := (len(buf) + threads - 1) / threads
	var wg sync.WaitGroup
	for i := range threads {
		wg.Go(func() { sums[i] = sum(buf[min(len(buf), i*part):min(len(buf), (i+1)*part)]) })
	}
	wg.Wait()
	total := uint64(0)
	for _, s := range sums {
		total += s
	}
	return total
}

// sum adds up buf, a cache line at a time in sums that do not wait for each
// other.
func sum(buf []uint64) uint64 {
	var a, b, c, d, e, f, g, h uint64
	for ; len(buf) >= 8; buf = buf[8:] {
		line := (*[8]uint64)(buf)
		a += line[0]
		b += line[1]
		c += line[2]
		d += line[3]
		e += line[4]
		f += line[5]
		g += line[6]
		h += line[7]
	}
	for _, v := range buf {
		a += v
	}
	return a + b + c + d + e + f + g + h
}
