package llamacpp

import (
	"testing"
	"time"
)

func TestCrew(t *testing.T) {
	const second = time.Second
	for name, tc := range map[string]struct {
		cores, most int
		all, own    time.Duration // used within the last second
		want        int           // threads
	}{
		"idle":                     {4, 4, 0, 0, 4},
		"busy with itself":         {4, 4, 4 * second, 4 * second, 4},
		"a little else":            {4, 4, 2300 * time.Millisecond, 2 * second, 4},
		"one core taken":           {4, 4, 4 * second, 3 * second, 3},
		"all cores taken":          {2, 2, 2 * second, 0, 1},
		"no more than asked for":   {8, 2, 3 * second, second, 2},
		"a count that lags behind": {2, 2, second, 1100 * time.Millisecond, 2},
	} {
		now := time.Unix(1000, 0)
		c := crew{cores: tc.cores, most: tc.most, threads: tc.most}
		c.observe(now, usage{all: second, own: second}) // the first sight tells nothing
		if c.threads != tc.most {
			t.Errorf("%s: %d threads at first, want %d", name, c.threads, tc.most)
		}
		if c.due(now.Add(time.Millisecond)) || !c.due(now.Add(second)) {
			t.Errorf("%s: due after 1 ms or not after 1 s", name)
		}
		c.observe(now.Add(second), usage{all: second + tc.all, own: second + tc.own})
		if c.threads != tc.want {
			t.Errorf("%s: %d threads, want %d", name, c.threads, tc.want)
		}
	}
}
