package llamacpp

import "time"

// crew decides how many threads a decode gets. The engine's threads wait for
// each other by spinning, hundreds of times in a decode: when another program
// takes one of their cores for a moment, all of them stand still, and a busy
// machine makes the engine tens of times slower. So it gets no more threads
// than there are idle cores, and at least one.
type crew struct {
	cores   int // that this process may use
	most    int // threads to use when all cores are idle
	threads int // the present decision

	at   time.Time // when usage was read last
	last usage
}

// usage is processor time since some beginning, over these cores.
type usage struct {
	all time.Duration // of every program
	own time.Duration // of this process
}

// The window over which others' use of the machine is averaged: long enough for
// the system's coarse count, and not so long that it tells of another time.
const (
	crewWindow = 250 * time.Millisecond
	crewStale  = 5 * time.Second
)

// due reports whether it is time to read the usage again.
func (c *crew) due(now time.Time) bool { return now.Sub(c.at) >= crewWindow }

// observe takes the usage at now into account.
func (c *crew) observe(now time.Time, u usage) {
	elapsed := now.Sub(c.at)
	others := (u.all - c.last.all) - (u.own - c.last.own)
	c.at, c.last = now, u
	if elapsed > crewStale {
		return
	}
	idle := float64(c.cores) - others.Seconds()/elapsed.Seconds()
	c.threads = min(c.most, max(1, int(idle+0.5)))
}
