package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrLoaded: other programs use the machine, so that no figure of it would say
// anything.
var ErrLoaded = errors.New("the machine is busy")

// MaxForeign is the share of the machine's processor time that programs apart
// from both sides may use.
const MaxForeign = 0.10

// quietWindow is how long the machine is watched: sixty ticks of the kernel's
// clock on two cores. Peers that spin while idle show up in it too.
const quietWindow = 300 * time.Millisecond

// clockTick is how finely the system counts processor time on each core.
const clockTick = time.Second / 100

// usage is processor time since some beginning, over all cores.
type usage struct {
	at    time.Time
	cores int
	all   time.Duration // of every program
	ours  time.Duration // of this process and the peers'
}

// foreign returns the share of the machine that others used between u and v.
func (u usage) foreign(v usage) float64 {
	elapsed := v.at.Sub(u.at).Seconds() * float64(u.cores)
	if elapsed <= 0 {
		return 0
	}
	// Less the ticks that may be half ours: in a short time they would be much.
	others := (v.all - u.all) - (v.ours - u.ours) - time.Duration(u.cores)*clockTick
	return min(1, max(0, others.Seconds()/elapsed))
}

// guard keeps watch over the machine. The zero value does not know any peers.
type guard struct {
	read     func() (usage, bool) // false where the system does not tell
	idle     func() (usage, bool) // the same with the peers counted as others
	force    bool
	patience time.Duration
	loaded   bool // some figure was taken while others used the machine
}

// wait returns when the machine is quiet, or with ErrLoaded when patience ends.
// With force it watches once, and leaves it to during to say what others used.
func (g *guard) wait(ctx context.Context) error {
	for began := time.Now(); ; {
		share, err := g.watch(ctx)
		switch {
		case err != nil:
			return err
		case share <= MaxForeign || g.force:
			return nil
		case time.Since(began) > g.patience:
			return fmt.Errorf("%w: other programs use %.0f %% of it", ErrLoaded, 100*share)
		}
	}
}

// watch returns the share of the machine that is used while both sides rest.
func (g *guard) watch(ctx context.Context) (float64, error) {
	before, ok := g.idle()
	timer := time.NewTimer(quietWindow)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-timer.C:
	}
	after, ok2 := g.idle()
	if !ok || !ok2 {
		return 0, nil
	}
	return before.foreign(after), nil
}

// during runs work and returns the share of the machine that others used.
func (g *guard) during(work func() error) (float64, error) {
	before, ok := g.read()
	err := work()
	after, ok2 := g.read()
	if !ok || !ok2 {
		return 0, err
	}
	share := before.foreign(after)
	g.loaded = g.loaded || g.force && share > MaxForeign
	return share, err
}
