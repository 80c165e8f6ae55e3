package main

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

// canvas is what can be drawn on.
type canvas struct {
	width  int  // columns
	blocks bool // the terminal shows block characters
}

const (
	plainWidth = 80 // columns, where the terminal does not say
	leastWidth = 40
	mostWidth  = 120 // a wider plot says no more
	plotRows   = 6
	barWidth   = 24
)

func (r *retort) canvas() canvas {
	on := canvas{width: plainWidth, blocks: showsBlocks(runtime.GOOS, r.p.getenv)}
	if f, ok := r.stdout.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			on.width = min(max(width, leastWidth), mostWidth)
		}
	}
	return on
}

// showsBlocks reports whether block characters can be expected to show: where the
// locale is one of UTF-8, and the terminal is not known to be a plain one.
func showsBlocks(goos string, getenv func(string) (string, bool)) bool {
	if name, _ := getenv("TERM"); name == "dumb" || name == "linux" {
		return false
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale, _ := getenv(name); locale != "" {
			locale = strings.ToLower(strings.ReplaceAll(locale, "-", ""))
			return strings.HasSuffix(locale, ".utf8") || strings.Contains(locale, ".utf8@")
		}
	}
	return goos == "windows"
}

// eighths are cells that are filled from below.
var eighths = []rune(" ▁▂▃▄▅▆▇█")

// cell is a cell of which so many eighths are filled, from 0 to 8.
func (on canvas) cell(filled int) rune {
	filled = min(max(filled, 0), len(eighths)-1)
	switch {
	case on.blocks:
		return eighths[filled]
	case filled >= 4:
		return '#'
	case filled > 0:
		return '.'
	}
	return ' '
}

// bar is n of most as a line.
func (on canvas) bar(n, most int) string {
	if n <= 0 {
		return ""
	}
	full := on.cell(len(eighths) - 1)
	return strings.Repeat(string(full), max(1, n*barWidth/max(most, 1)))
}

// growth draws the running total of what came on each day ("2006-01-02").
func (on canvas) growth(days map[string]int) []string {
	totals, first, last := running(days)
	if len(totals) == 0 {
		return nil
	}
	most := totals[len(totals)-1]
	if len(totals) == 1 {
		return []string{fmt.Sprintf("%d examples, all on %s", most, first)}
	}
	label := len(fmt.Sprint(most))
	columns := on.width - label - 6 // indentation, axis and a margin
	var out []string
	for row := plotRows - 1; row >= 0; row-- {
		var line strings.Builder
		for x := range columns {
			day := ((x+1)*len(totals)+columns-1)/columns - 1
			filled := totals[day] * plotRows * (len(eighths) - 1) / most
			if filled == 0 && totals[day] > 0 {
				filled = 1 // few are not none
			}
			line.WriteRune(on.cell(filled - row*(len(eighths)-1)))
		}
		mark := ""
		if row == plotRows-1 {
			mark = fmt.Sprint(most)
		}
		out = append(out, strings.TrimRight(fmt.Sprintf("%*s %c%s", label, mark, on.pick('│', '|'), line.String()), " "))
	}
	out = append(out, fmt.Sprintf("%*d %c%s", label, 0, on.pick('└', '+'), strings.Repeat(string(on.pick('─', '-')), columns)))
	return append(out, fmt.Sprintf("%*s  %s%*s", label, "", first, columns-len(first), last))
}

// pick is the one rune or the other, by what can be shown.
func (on canvas) pick(block, plain rune) rune {
	if on.blocks {
		return block
	}
	return plain
}

// running returns the totals at the end of each day from the first to the last.
func running(days map[string]int) (totals []int, first, last string) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(days)), func(name string) bool {
		_, err := time.Parse(time.DateOnly, name)
		return err != nil
	})
	if len(names) == 0 {
		return nil, "", ""
	}
	first, last = names[0], names[len(names)-1]
	day, _ := time.Parse(time.DateOnly, first) // was parsed above
	for sum := 0; ; day = day.AddDate(0, 0, 1) {
		name := day.Format(time.DateOnly)
		sum += days[name]
		totals = append(totals, sum)
		if name == last {
			return totals, first, last
		}
	}
}
