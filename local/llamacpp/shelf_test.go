package llamacpp

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestScheduler_shelvesWhatLiesIdle reads long prompts one after the other, and
// goes back to some of them.
func TestScheduler_shelvesWhatLiesIdle(t *testing.T) {
	for name, tc := range map[string]struct {
		prompt []int32
		want   int // tokens of it that are cached
	}{
		"end":              {join32(counting(1, 300), 7), 300},
		"too few to bring": {join32(counting(1001, 5), counting(5001, 40)...), 0},
		"middle":           {join32(counting(1001, 200), counting(6001, 40)...), 200},
		"never shelved":    {join32(counting(2001, 300), 7), 300},
	} {
		t.Run(name, func(t *testing.T) {
			dev := newFakeDevice(t, 5000)
			s := newScheduler(dev, limits{rows: 64, outputs: 16, seqs: 32, cached: 4, queue: 200, shelf: 700})
			for i := range 4 {
				askFake(t, s, counting(1000*i+1, 300), 1, 3, 5)
			}
			if c := askFake(t, s, tc.prompt, 1, 3, 5)[0].Usage.CachedTokens; c != tc.want {
				t.Errorf("%d tokens cached, want %d", c, tc.want)
			}
			s.close()
			if dev.saves != 2 { // the third had no room on the shelf, the fourth was the newest
				t.Errorf("%d prefixes shelved, want 2", dev.saves)
			}
			checkEmpty(t, s, dev)
		})
	}
}

// TestScheduler_forgetsWhatHasNoWayBack has no room for a shelved prefix when it
// is wanted.
func TestScheduler_forgetsWhatHasNoWayBack(t *testing.T) {
	dev := newFakeDevice(t, 700)
	s := newScheduler(dev, limits{rows: 64, outputs: 16, seqs: 32, cached: 4, queue: 200, shelf: 300})
	for i := range 3 {
		askFake(t, s, counting(1000*i+1, 300), 1, 3, 5)
	}
	if c := askFake(t, s, counting(1, 300), 1, 3, 5)[0].Usage.CachedTokens; c != 0 {
		t.Errorf("%d tokens cached, want none", c)
	}
	s.close()
	if dev.saves == 0 {
		t.Error("nothing was shelved: nothing is tested")
	}
	checkEmpty(t, s, dev)
}

// TestScheduler_survivesPressureWithShelf runs many jobs over long prompts that
// come and go, with too few cells for them.
func TestScheduler_survivesPressureWithShelf(t *testing.T) {
	dev := newFakeDevice(t, 1300)
	s := newScheduler(dev, limits{rows: 64, outputs: 16, seqs: 6, cached: 3, queue: 200, shelf: 700})
	var wg sync.WaitGroup
	for g := range 2 {
		wg.Go(func() { pressure(t, s, uint64(g), 300) })
	}
	wg.Wait()
	s.close()
	if dev.saves == 0 {
		t.Error("nothing was shelved: nothing is tested")
	}
	checkEmpty(t, s, dev)
}

// shelfCounter counts what a device restores.
type shelfCounter struct {
	device
	restored, failed atomic.Int32
}

func (c *shelfCounter) restore(seq, n, spare int, saved [][]byte) bool {
	ok := c.device.restore(seq, n, spare, saved)
	if c.restored.Add(1); !ok {
		c.failed.Add(1)
	}
	return ok
}

// TestModel_shelfChangesNothing goes on from the end of a prompt that was on the
// shelf, and from its middle, which is far behind the sliding window.
func TestModel_shelfChangesNothing(t *testing.T) {
	long := strings.Repeat("the-sea,the-wind;", 25)
	for _, arch := range []string{"llama", "gemma3"} {
		for name, text := range map[string]string{"end": long + "now this", "middle": long[:200] + "now this"} {
			t.Run(arch+"/"+name, func(t *testing.T) {
				file, opts := tinyModel(t, arch), Options{ContextSize: 600, Prefixes: 2, Parallel: 1}
				want := collect(t, openTiny(t, file, opts), tinyRequest(text))
				m := openTiny(t, file, opts)
				counter := &shelfCounter{device: m.dev}
				m.sched.dev = counter // it is read behind the first submit
				collect(t, m, tinyRequest(long))
				collect(t, m, tinyRequest(strings.ToUpper(long)))
				collect(t, m, greedy("x", 580)) // comes by every cell of the cache
				got := collect(t, m, tinyRequest(text))
				if c := got.Usage.CachedTokens; c < 200 {
					t.Errorf("%d cached tokens, want what the prompts share", c)
				}
				if n, failed := counter.restored.Load(), counter.failed.Load(); n != 1 || failed != 0 {
					t.Errorf("%d prefixes brought back and %d failed, want 1 and 0", n, failed)
				}
				checkSame(t, got, want)
			})
		}
	}
}
