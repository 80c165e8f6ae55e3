package llamacpp

// crew decides how many threads a decode gets. The engine's threads wait for
// each other by spinning, hundreds of times in a decode: when another program
// takes one of their cores for a moment, all of them stand still, and a busy
// machine makes the engine tens of times slower. So it gets no more threads
// than there are idle cores, and at least one.
type crew struct {
	most int
	busy float64 // cores that others use: the latest count, or what is left of an earlier, higher one
}

// size returns the number of threads for the next decode, given how many cores
// the machine has and how many threads of others are running now.
func (c *crew) size(cores, others int) int {
	c.busy = max(float64(others), c.busy*0.7)
	return min(c.most, max(1, int(float64(cores)-c.busy+0.5)))
}
