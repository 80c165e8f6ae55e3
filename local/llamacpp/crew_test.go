package llamacpp

import "testing"

func TestCrew(t *testing.T) {
	for name, tc := range map[string]struct {
		cores, most int
		others      []int
		want        int // threads after the last
	}{
		"idle":                   {4, 4, []int{0}, 4},
		"no more than asked for": {8, 2, []int{1}, 2},
		"one busy":               {4, 4, []int{1}, 3},
		"all busy":               {4, 4, []int{9}, 1},
		"busy a moment ago":      {4, 4, []int{3, 0}, 2},
		"busy a while ago":       {4, 4, []int{3, 0, 0, 0, 0, 0, 0, 0}, 4},
	} {
		c, got := crew{most: tc.most}, 0
		for _, n := range tc.others {
			got = c.size(tc.cores, n)
		}
		if got != tc.want {
			t.Errorf("%s: %d threads, want %d", name, got, tc.want)
		}
	}
}
