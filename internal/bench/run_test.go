package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// machine is a pretended one of two cores on which both sides and others work.
type machine struct {
	began        time.Time
	ours, others time.Duration
	foreign      float64 // share of the machine that others use all the time
}

func (m *machine) usage() (usage, bool) {
	at := time.Now()
	others := m.others + time.Duration(m.foreign*2*float64(at.Sub(m.began)))
	return usage{at: at, cores: 2, all: m.ours + others, ours: m.ours}, true
}

func (m *machine) runner(opts Options) *runner {
	m.began = time.Now()
	return &runner{opts: opts, rng: rand.New(rand.NewPCG(opts.Seed, 0)),
		guard: guard{read: m.usage, idle: m.usage, force: opts.Force, patience: opts.Patience}}
}

// arm works for a second on both cores of m.
func (m *machine) arm(name string, log *[]string) Arm {
	return Arm{Name: name, Run: func(context.Context, int) (Sample, error) {
		*log = append(*log, name)
		time.Sleep(time.Second)
		m.ours += 2 * time.Second
		return Sample{Total: time.Second, Output: 1}, nil
	}}
}

func TestRun_interleavesInAnOrderOfTheSeed(t *testing.T) {
	order := func(seed uint64, ordered bool) (log []string) {
		synctest.Test(t, func(t *testing.T) {
			var m machine
			r := m.runner(Options{Rounds: 20, Seed: seed})
			w := Work{Name: "w", Ordered: ordered, Arms: []Arm{m.arm("a", &log), m.arm("b", &log)}}
			if err := r.work(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			if len(r.out) != 20 || r.done != Steps([]Work{w}, 20) {
				t.Errorf("%d rounds, %d steps", len(r.out), r.done)
			}
			if got := r.out[3]; !slices.Equal(got.Order, log[8:10]) || got.Round != 3 || got.Foreign != 0 {
				t.Errorf("round 3 is %+v, the arms ran as %v", got, log[8:10])
			}
		})
		return log
	}
	one := order(1, false)
	if !slices.Equal(one, order(1, false)) {
		t.Error("the same seed gave another order")
	}
	if slices.Equal(one, order(2, false)) {
		t.Error("another seed gave the same order")
	}
	firsts := 0
	for i := 0; i < len(one); i += 2 {
		if one[i] == "a" {
			firsts++
		}
	}
	if firsts == 0 || firsts == 21 || len(one) != 42 {
		t.Errorf("a came first %d times of 21", firsts)
	}
	if got := strings.Join(order(1, true), ""); got != strings.Repeat("ab", 21) {
		t.Errorf("ordered work ran as %s", got)
	}
}

func TestRun_refusesABusyMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := machine{foreign: 0.3}
		var log []string
		began := time.Now()
		r := m.runner(Options{Rounds: 1, Patience: 5 * time.Second})
		err := r.work(t.Context(), Work{Arms: []Arm{m.arm("a", &log)}})
		if !errors.Is(err, ErrLoaded) || !strings.Contains(err.Error(), "27 %") || len(log) > 0 {
			t.Errorf("error %v after %v", err, log)
		}
		if waited := time.Since(began); waited < 5*time.Second || waited > 6*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestRun_measuresAShortRoundAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		output  []int // tokens of each try
		rounds  int
		dropped int
	}{
		"never short": {[]int{8, 8}, 2, 0},
		"once":        {[]int{5, 8, 8}, 3, 1},
		"always":      {[]int{5, 5, 5, 5, 8}, 5, 3}, // the fourth try stays, and fails its row
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m machine
				var log, prompts []string
				arm := m.arm("a", &log)
				full := arm.Run
				arm.Run = func(ctx context.Context, n int) (Sample, error) {
					prompts = append(prompts, fmt.Sprint(n))
					s, err := full(ctx, n)
					if n >= 0 {
						s.Output = tc.output[n]
					}
					return s, err
				}
				r := m.runner(Options{Rounds: 2})
				if err := r.work(t.Context(), Work{Output: 8, Cold: true, Arms: []Arm{arm}}); err != nil {
					t.Fatal(err)
				}
				dropped := 0
				for _, round := range r.out {
					if round.Dropped {
						dropped++
					}
				}
				if len(r.out) != tc.rounds || dropped != tc.dropped || r.out[len(r.out)-1].Round != 1 {
					t.Errorf("%d rounds of which %d dropped, want %d and %d: %+v", len(r.out), dropped, tc.rounds, tc.dropped, r.out)
				}
				if slices.Sort(prompts); len(slices.Compact(prompts)) != tc.rounds {
					t.Errorf("a prompt was asked twice: %v", prompts)
				}
			})
		})
	}
}

func TestRun_forceMarksTheResult(t *testing.T) {
	for foreign, loaded := range map[float64]bool{0.3: true, 0.01: false} {
		synctest.Test(t, func(t *testing.T) {
			m := machine{foreign: foreign}
			var log []string
			r := m.runner(Options{Rounds: 1, Force: true})
			if err := r.work(t.Context(), Work{Arms: []Arm{m.arm("a", &log)}}); err != nil {
				t.Fatal(err)
			}
			if r.guard.loaded != loaded || r.out[0].Dropped {
				t.Errorf("others at %g: loaded %t, %+v", foreign, r.guard.loaded, r.out[0])
			}
		})
	}
}

func TestRun_measuresADisturbedRoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m machine
		var log []string
		arm := m.arm("a", &log)
		quiet := arm.Run
		arm.Run = func(ctx context.Context, n int) (Sample, error) {
			if len(log) == 1 { // the first try of the first round
				m.others += 1020 * time.Millisecond
			}
			return quiet(ctx, n)
		}
		r := m.runner(Options{Rounds: 2})
		if err := r.work(t.Context(), Work{Arms: []Arm{arm}}); err != nil {
			t.Fatal(err)
		}
		if len(r.out) != 3 || !r.out[0].Dropped || r.out[0].Foreign != 0.5 || r.out[1].Dropped || r.out[1].Round != 0 || r.out[2].Round != 1 {
			t.Errorf("%+v", r.out)
		}
	})
}

func TestRun_endsWhenEveryTryIsDisturbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m machine
		var log []string
		arm := m.arm("a", &log)
		quiet := arm.Run
		arm.Run = func(ctx context.Context, n int) (Sample, error) {
			m.others += time.Second
			return quiet(ctx, n)
		}
		r := m.runner(Options{Rounds: 2})
		if err := r.work(t.Context(), Work{Arms: []Arm{arm}}); !errors.Is(err, ErrLoaded) || len(r.out) != retriesPerRound+1 {
			t.Errorf("error %v after %d rounds", err, len(r.out))
		}
	})
}

func TestRun_keepsWhyAnArmFailed(t *testing.T) {
	var m machine
	var log []string
	synctest.Test(t, func(t *testing.T) {
		r := m.runner(Options{Rounds: 1})
		bad := Arm{Name: "bad", Run: func(context.Context, int) (Sample, error) { return Sample{}, errors.New("gone") }}
		if err := r.work(t.Context(), Work{Arms: []Arm{bad, m.arm("a", &log)}}); err != nil {
			t.Fatal(err)
		}
		if got := r.out[0]; got.Failed["bad"] != "gone" || got.Arms["a"].Seconds != 1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestRun_stopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	arm := Arm{Name: "a", Run: func(ctx context.Context, n int) (Sample, error) {
		cancel()
		<-ctx.Done()
		return Sample{}, ctx.Err()
	}}
	runs, err := Run(ctx, []Work{{Name: "w", Arms: []Arm{arm}}}, Options{Rounds: 3, Force: true})
	if !errors.Is(err, context.Canceled) || len(runs.Rounds) != 0 {
		t.Errorf("error %v, rounds %v", err, runs.Rounds)
	}
}

func TestRun_asksNoQuietForWhatIsNotTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := machine{foreign: 0.9}
		var log []string
		r := m.runner(Options{Rounds: 2})
		if err := r.work(t.Context(), Work{Untimed: true, Arms: []Arm{m.arm("a", &log)}}); err != nil || len(r.out) != 2 || r.out[0].Dropped {
			t.Errorf("error %v, rounds %+v", err, r.out)
		}
	})
}
