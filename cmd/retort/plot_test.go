package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestShowsBlocks(t *testing.T) {
	tests := map[string]struct {
		goos string
		env  map[string]string
		want bool
	}{
		"nothing known":        {"linux", nil, false},
		"Windows":              {"windows", nil, true},
		"UTF-8":                {"linux", map[string]string{"LANG": "de_DE.UTF-8"}, true},
		"utf8, with a variant": {"linux", map[string]string{"LANG": "ca_ES.utf8@valencia"}, true},
		"Latin 1":              {"linux", map[string]string{"LANG": "de_DE.ISO-8859-1"}, false},
		"LC_ALL counts first":  {"linux", map[string]string{"LC_ALL": "C", "LANG": "C.UTF-8"}, false},
		"an empty one is none": {"linux", map[string]string{"LC_ALL": "", "LC_CTYPE": "C.UTF-8"}, true},
		"dumb":                 {"linux", map[string]string{"TERM": "dumb", "LANG": "C.UTF-8"}, false},
		"the kernel's console": {"linux", map[string]string{"TERM": "linux", "LANG": "C.UTF-8"}, false},
	}
	for name, test := range tests {
		getenv := func(name string) (string, bool) { v, ok := test.env[name]; return v, ok }
		if got := showsBlocks(test.goos, getenv); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestGrowth(t *testing.T) {
	days := map[string]int{"2026-01-01": 1, "2026-01-03": 1, "2026-01-04": 4, "not a day": 7}
	on := canvas{width: 19}
	want := []string{
		"6 |         ###",
		"  |         ###",
		"  |         ###",
		"  |         ###",
		"  |      ######",
		"  |############",
		"0 +------------",
		"   2026-01-012026-01-04", // no terminal is as narrow
	}
	if diff := cmp.Diff(want, on.growth(days)); diff != "" {
		t.Errorf("plain (-want +got):\n%s", diff)
	}
	on.blocks = true
	if got := on.growth(days); !strings.HasPrefix(got[0], "6 │         ███") || !strings.HasPrefix(got[6], "0 └────") {
		t.Errorf("blocks:\n%s", strings.Join(got, "\n"))
	}
	if diff := cmp.Diff([]string{"3 examples, all on 2026-01-01"}, on.growth(map[string]int{"2026-01-01": 3})); diff != "" {
		t.Errorf("one day (-want +got):\n%s", diff)
	}
	if got := on.growth(nil); got != nil {
		t.Errorf("no day: %q", got)
	}
}

// However much there is, and however long it took, the plot keeps its width.
func TestGrowth_keepsItsWidth(t *testing.T) {
	for _, width := range []int{leastWidth, plainWidth, mostWidth} {
		for _, n := range []int{2, 30, 75, 4000} {
			days := map[string]int{}
			for day := range n {
				days[time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly)] = 1 + day*day
			}
			for _, blocks := range []bool{false, true} {
				lines := canvas{width, blocks}.growth(days)
				if len(lines) != plotRows+2 {
					t.Fatalf("%d lines", len(lines))
				}
				for _, line := range lines {
					if got := utf8.RuneCountInString(line) + 2; got > width {
						t.Errorf("%d columns, want %d: %q", got, width, line)
					}
				}
				top, bottom := []rune(lines[0]), []rune(lines[plotRows-1])
				if full := (canvas{width, blocks}).cell(8); top[len(top)-1] != full || bottom[len(bottom)-1] != full {
					t.Errorf("does not end at the top: %q", lines)
				}
			}
		}
	}
}

func TestBar(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 50: 12, 100: 24} {
		if got := len(canvas{}.bar(n, 100)); got != want {
			t.Errorf("%d of 100: %d columns, want %d", n, got, want)
		}
	}
}
