package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// output is where a verb speaks: results on stdout, everything else on stderr.
type output struct {
	stdout io.Writer
	stderr io.Writer
	asJSON bool
	lost   *error // why something for people could not be written, the first time; nil where nobody asks
}

// printf writes for people; silent where JSON was asked for.
func (o output) printf(format string, args ...any) {
	if !o.asJSON {
		_, err := fmt.Fprintf(o.stdout, format, args...)
		o.losing(err)
	}
}

// losing keeps the first error of writing for people.
func (o output) losing(err error) {
	if o.lost != nil && *o.lost == nil {
		*o.lost = err
	}
}

// note writes a line about the work, apart from its result.
func (o output) note(format string, args ...any) {
	fmt.Fprintf(o.stderr, format+"\n", args...)
}

// object writes v as JSON if that was asked for.
func (o output) object(v any) error {
	if !o.asJSON {
		return nil
	}
	enc := json.NewEncoder(o.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table writes rows in columns, the first row as head.
func (o output) table(rows [][]string) {
	if o.asJSON {
		return
	}
	w := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	o.losing(w.Flush())
}

// isTerminal reports whether w shows a progress bar well.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// bar shows how far a long piece of work has come: a progress bar on a terminal,
// a line at its start, its quarters and its end elsewhere.
type bar struct {
	out   io.Writer
	title string
	start time.Time
	bar   *progressbar.ProgressBar // nil off a terminal
	once  sync.Once
	told  string // by tell

	total, at, quarters int64 // for the lines: units of work, and quarters shown
}

// bar starts one for total units of work; -1 is unknown. The unit "B" stands
// for bytes.
func (o output) bar(title string, total int64, unit string) *bar {
	b := &bar{out: o.stderr, title: title, start: time.Now(), total: total}
	if !isTerminal(o.stderr) {
		fmt.Fprintf(o.stderr, "%s ...\n", title)
		return b
	}
	b.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(o.stderr), progressbar.OptionSetDescription(title),
		progressbar.OptionShowBytes(unit == "B"), progressbar.OptionSetItsString(unit),
		progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetWidth(24), progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish())
	return b
}

func (b *bar) add(n int64) { b.set(b.at + n) }

func (b *bar) set(n int64) {
	b.at = n
	if b.bar != nil {
		_ = b.bar.Set64(n)
		return
	}
	if quarter := 4 * n / max(b.total, 1); b.total > 0 && quarter > b.quarters && quarter < 4 {
		b.quarters = quarter
		fmt.Fprintf(b.out, "%s: %d %%%s (%s)\n", b.title, 25*quarter, b.told, seconds(time.Since(b.start)))
	}
}

// tell is describe, and puts text behind the lines off a terminal too.
func (b *bar) tell(text string) {
	b.told = text
	b.describe(text)
}

// describe changes what stands before the bar, for example the present loss.
func (b *bar) describe(text string) {
	if b.bar != nil {
		b.bar.Describe(b.title + text)
	}
}

// done ends the bar; remark, if any, is put behind its title for good.
func (b *bar) done(remark string) {
	b.once.Do(func() {
		if b.bar != nil {
			_ = b.bar.Finish()
		}
		if remark != "" {
			remark = ": " + remark
		}
		fmt.Fprintf(b.out, "%s%s (%s)\n", b.title, remark, seconds(time.Since(b.start)))
	})
}

// abort takes the bar away without a word: the error that follows says why.
func (b *bar) abort() {
	b.once.Do(func() {
		if b.bar != nil {
			_ = b.bar.Exit()
			fmt.Fprintln(b.out)
		}
	})
}

// end is done or abort, for use with defer.
func (b *bar) end(err *error) {
	if *err != nil {
		b.abort()
		return
	}
	b.done("")
}

func seconds(d time.Duration) string {
	if d >= time.Minute {
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// firstLine cuts text to its first n runes on one line.
func firstLine(text string, n int) string {
	r := []rune(strings.Join(strings.Fields(text), " "))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}
