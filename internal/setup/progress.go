package setup

import (
	"context"
	"io"
)

// Progress hears how a set-up goes on. Steps follow each other, and no two
// calls overlap. A nil Progress is not allowed: use Silent.
type Progress interface {
	// Start begins a step of total bytes, -1 where that is not known.
	Start(title string, total int64)
	// Add tells of n more bytes.
	Add(n int64)
	// Note shows a line within the step: a child's last word, or a licence.
	Note(line string)
	// Done ends the step, well or not.
	Done()
}

// Silent is a Progress that shows nothing.
type Silent struct{}

// Start, Add, Note and Done implement Progress.
func (Silent) Start(string, int64) {}
func (Silent) Add(int64)           {}
func (Silent) Note(string)         {}
func (Silent) Done()               {}

// counted returns r, telling p of every byte that is read from it and ending
// with ctx.
func counted(ctx context.Context, r io.Reader, p Progress) io.Reader { return &counter{ctx, r, p} }

type counter struct {
	ctx context.Context
	r   io.Reader
	p   Progress
}

func (c *counter) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(b)
	c.p.Add(int64(n))
	return n, err
}

// totals turns reports of bytes done so far into steps of p.
func totals(p Progress) func(done, total int64) {
	var before int64
	return func(done, _ int64) {
		p.Add(max(0, done-before))
		before = done
	}
}
