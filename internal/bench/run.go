package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"runtime"
	"strconv"
	"time"
)

// Options say how works are run.
type Options struct {
	Rounds   int           // of each work that does not say itself
	Seed     uint64        // of the order of the arms
	Force    bool          // measure on a busy machine too
	Patience time.Duration // how long to wait for a quiet one
	Servers  []string      // base URLs of the peers, whose processor time is not foreign

	// Progress is told how many of Steps are done; it may be nil.
	Progress func(done int, what string)
}

// Runs are the rounds of all works.
type Runs struct {
	Rounds []Round
	Loaded bool // taken on a busy machine, by force
}

// retriesPerRound bounds how often a round is measured again.
const retriesPerRound = 3

// Run measures works one after the other. An arm that fails in one round is left
// out of it, and the failure is kept there. ErrLoaded ends the run, and so does ctx;
// what was measured until then is returned with the error.
func Run(ctx context.Context, works []Work, opts Options) (Runs, error) {
	r := runner{opts: opts, rng: rand.New(rand.NewPCG(opts.Seed, 0))}
	cores := runtime.NumCPU()
	r.guard = guard{force: opts.Force, patience: opts.Patience,
		read: func() (usage, bool) { return readUsage(cores, r.peers) },
		idle: func() (usage, bool) { return readUsage(cores, nil) }}
	var err error
	for _, w := range works {
		if err = r.work(ctx, w); err != nil {
			err = fmt.Errorf("bench %q: %w", w.Name, err)
			break
		}
	}
	return Runs{Rounds: r.out, Loaded: r.guard.loaded}, err
}

// processes are those behind the servers of this machine. A server's children
// may come and go with its requests.
func processes(servers []string) []int {
	var pids []int
	for _, server := range servers {
		if u, err := url.Parse(server); err == nil {
			port, _ := strconv.Atoi(u.Port())
			pids = append(pids, serving(port)...)
		}
	}
	return pids
}

type runner struct {
	opts  Options
	rng   *rand.Rand
	guard guard
	peers []int // processes
	out   []Round
	done  int
}

// Steps returns how many times an arm runs, the warm-ups included.
func Steps(works []Work, rounds int) int {
	n := 0
	for _, w := range works {
		n += (w.rounds(rounds) + w.warmUps()) * len(w.Arms)
	}
	return n
}

// work runs the warm-up of w, which is not kept, and its rounds.
func (r *runner) work(ctx context.Context, w Work) error {
	for range w.warmUps() {
		if _, err := r.round(ctx, w, -1); err != nil {
			return err
		}
	}
	next := 0 // each try has prompts of its own: what was tried once is in caches
	for i := range w.rounds(r.opts.Rounds) {
		for try := 0; ; try++ {
			done := r.done
			round, err := r.round(ctx, w, next)
			next++
			if err != nil {
				return err
			}
			round.Round = i
			busy := round.Foreign > MaxForeign && !r.opts.Force
			round.Dropped = busy || w.short(round) && try < retriesPerRound // after that the row says what is wrong
			r.out = append(r.out, round)
			if !round.Dropped {
				break
			}
			if busy && try >= retriesPerRound {
				return fmt.Errorf("%w: other programs used %.0f %% of it during round %d", ErrLoaded, 100*round.Foreign, i)
			}
			r.done = done
		}
	}
	return nil
}

// round lets every arm of w do its work once.
func (r *runner) round(ctx context.Context, w Work, n int) (Round, error) {
	order := make([]int, len(w.Arms))
	for i := range order {
		order[i] = i
	}
	if !w.Ordered {
		r.rng.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
	}
	out := Round{Work: w.Name, Round: n, Arms: map[string]Figure{}}
	for _, i := range order {
		arm := w.Arms[i]
		r.progress(w.Name + ": " + arm.Name)
		out.Order = append(out.Order, arm.Name)
		s, share, err := r.arm(ctx, w, arm, n)
		switch {
		case ctx.Err() != nil:
			return out, ctx.Err()
		case errors.Is(err, ErrLoaded):
			return out, err
		case err != nil:
			if out.Failed == nil {
				out.Failed = map[string]string{}
			}
			out.Failed[arm.Name] = err.Error()
		default:
			out.Arms[arm.Name] = figure(s)
		}
		out.Foreign = max(out.Foreign, share)
		r.done++
	}
	return out, nil
}

// arm measures one arm of w, awake, on a quiet machine.
func (r *runner) arm(ctx context.Context, w Work, a Arm, n int) (s Sample, share float64, err error) {
	if w.Untimed {
		s, err = a.Run(ctx, n)
		return s, 0, err
	}
	if a.Settle == nil {
		a.Settle = func(context.Context) error { return nil }
	}
	if err := r.guard.wait(ctx); err != nil {
		return s, 0, err
	}
	if err := a.Settle(ctx); err != nil {
		return s, 0, err
	}
	r.peers = processes(r.opts.Servers)
	share, err = r.guard.during(func() error {
		s, err = a.Run(ctx, n)
		return err
	})
	return s, share, err
}

func (r *runner) progress(what string) {
	if r.opts.Progress != nil {
		r.opts.Progress(r.done, what)
	}
}
