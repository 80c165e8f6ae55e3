package llamacpp

import (
	"context"
	"sync"
	"sync/atomic"

	"retort/llm"
)

// job is a request on its way through the scheduler.
type job struct {
	ctx     context.Context
	prompt  []int32
	samples []*sample
	chooser chooser
	box     *mailbox
	left    atomic.Bool // the reader has stopped reading

	// Of the scheduler's goroutine.
	started bool // it does not count as waiting any more
	cached  int  // tokens of prompt that were decoded already
}

// gone reports whether nobody waits for the job any more.
func (j *job) gone() bool { return j.left.Load() || j.ctx.Err() != nil }

// fail ends the job with an error.
func (j *job) fail(err error) { j.box.put(message{err: err}) }

// message is what the scheduler tells the reader of a job.
type message struct {
	sample int
	event  llm.Event
	err    error
}

// mailbox carries messages from the scheduler to a job's reader. It never
// makes the sender wait; a job's answers are bounded, so it is too.
type mailbox struct {
	mu    sync.Mutex
	queue []message
	ready chan struct{} // holds one token when queue has grown
}

func newMailbox() *mailbox { return &mailbox{ready: make(chan struct{}, 1)} }

func (b *mailbox) put(m message) {
	b.mu.Lock()
	b.queue = append(b.queue, m)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take waits for messages and returns all there are.
func (b *mailbox) take(ctx context.Context) ([]message, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-b.ready:
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.queue
	b.queue = nil
	return got, nil
}
