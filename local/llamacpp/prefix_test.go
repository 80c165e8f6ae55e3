package llamacpp

import (
	"fmt"
	"testing"
)

// stored feeds prompts to a cache of two entries and returns what it holds.
func stored(prompts ...[]int32) string {
	c := newPrefixCache([]int{7, 8})
	for _, p := range prompts {
		c.store(p)
	}
	s := ""
	for _, e := range c.entries {
		s += fmt.Sprintf("%d..+%d ", e.tokens[0], len(e.tokens))
	}
	return s
}

func TestPrefixCache_keeps(t *testing.T) {
	shots, other, third := counting(1, 400), counting(1001, 400), counting(2001, 400)
	system := counting(1, 60)
	tail := func(of []int32, from, n int) []int32 { return join32(of, counting(from, n)...) }
	for name, tc := range map[string]struct {
		prompts [][]int32
		want    string
	}{
		"a new prompt":               {[][]int32{shots}, "1..+400 "},
		"nothing of a short one":     {[][]int32{counting(1, 20)}, ""},
		"two that share nothing":     {[][]int32{shots, other}, "1..+400 1001..+400 "},
		"what requests share":        {[][]int32{tail(shots, 5000, 20), tail(shots, 6000, 20)}, "1..+400 "},
		"no tails after that":        {[][]int32{tail(shots, 5000, 20), tail(shots, 6000, 20), tail(shots, 7000, 20)}, "1..+400 "},
		"a conversation as it grows": {[][]int32{shots, tail(shots, 5000, 300), tail(shots, 5000, 600)}, "1..+1000 "},
		"both of two conversations that share a beginning": {
			[][]int32{tail(system, 5000, 300), tail(system, 6000, 300)}, "1..+360 1..+360 "},
		"a long tail beside what is shared": {
			[][]int32{tail(shots, 5000, 20), tail(shots, 6000, 20), tail(shots, 7000, 300)}, "1..+400 1..+700 "},
		"a long entry when a short request shares its start": {
			[][]int32{tail(shots, 5000, 300), tail(shots, 6000, 20)}, "1..+700 "},
		"the two used last": {[][]int32{shots, other, shots, third}, "1..+400 2001..+400 "},
	} {
		if got := stored(tc.prompts...); got != tc.want {
			t.Errorf("%s: holds %q, want %q", name, got, tc.want)
		}
	}
}

func TestPrefixCache_withoutRoom(t *testing.T) {
	c := newPrefixCache(nil)
	if _, ok := c.store(counting(1, 100)); ok {
		t.Error("a cache without a sequence stores something")
	}
	if e, n := c.match(counting(1, 100)); e != nil || n != 0 {
		t.Errorf("match = %v, %d in an empty cache", e, n)
	}
}
