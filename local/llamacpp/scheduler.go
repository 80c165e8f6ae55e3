package llamacpp

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// limits bound what a scheduler does at once.
type limits struct {
	rows    int // tokens of one decode
	outputs int // of these, tokens with logits
	seqs    int // sequences for branches; those of the prefix cache follow them
	cached  int // sequences of the prefix cache
	shelf   int // tokens of cached prefixes that may be kept outside of the KV cache
	queue   int // jobs that wait to be started
}

// scheduler runs all jobs of a Model through its device, one decode after the
// other. Its goroutine alone touches the device and the fields of the first
// group; everybody else hands in jobs with submit.
type scheduler struct {
	dev     device
	lim     limits
	cache   *prefixCache
	free    []int     // sequences that no branch holds
	waiting []*branch // without a sequence
	running []*branch // with a sequence, oldest job first
	full    bool      // the device ran out of room: start nothing until a branch ends
	turn    int       // counts batches, for the jobs to take turns

	mu     sync.Mutex
	inbox  []*job
	queued int // jobs that wait to be started
	closed bool
	wake   chan struct{} // holds one token when the inbox or closed has changed
	quit   atomic.Bool   // closed, for the poll during a decode
	done   chan struct{} // closed when the goroutine has ended
}

func newScheduler(dev device, lim limits) *scheduler {
	s := &scheduler{dev: dev, lim: lim, wake: make(chan struct{}, 1), done: make(chan struct{})}
	for i := range lim.seqs {
		s.free = append(s.free, i)
	}
	var cached []int
	for i := range lim.cached {
		cached = append(cached, lim.seqs+i)
	}
	s.cache = newPrefixCache(cached)
	go s.run()
	return s
}

// submit hands in a job. Its samples' events arrive in its mailbox. It is
// refused with ErrBusy when as many as may wait do so.
func (s *scheduler) submit(j *job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.queued >= s.lim.queue {
		return fmt.Errorf("%w: %d", ErrBusy, s.queued)
	}
	s.queued++
	s.inbox = append(s.inbox, j)
	s.signal()
	return nil
}

// close ends the goroutine and waits for it. Jobs that are not done fail with
// ErrClosed.
func (s *scheduler) close() {
	s.mu.Lock()
	s.closed = true
	s.quit.Store(true)
	s.signal()
	s.mu.Unlock()
	<-s.done
}

func (s *scheduler) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *scheduler) run() {
	defer close(s.done)
	for s.collect() {
		s.dropGone()
		s.admit()
		if len(s.running) == 0 {
			<-s.wake
			continue
		}
		s.step()
	}
	for _, b := range slices.Concat(s.waiting, s.running) {
		b.job.fail(ErrClosed)
	}
}

// collect takes in new jobs; false after close.
func (s *scheduler) collect() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.inbox {
		s.waiting = append(s.waiting, &branch{job: j, samples: j.samples, tokens: j.prompt, seq: noSeq})
	}
	s.inbox = nil
	return !s.closed
}

// dropGone frees what the jobs hold whose readers have left.
func (s *scheduler) dropGone() {
	s.dropIf(func(b *branch) bool { return b.job.gone() })
}

func (s *scheduler) dropIf(drop func(*branch) bool) {
	s.waiting = slices.DeleteFunc(s.waiting, func(b *branch) bool {
		if !drop(b) {
			return false
		}
		s.unqueue(b.job)
		return true
	})
	for _, b := range slices.Clone(s.running) {
		if drop(b) {
			s.release(b)
		}
	}
}

// unqueue takes a job out of the count of those that wait, once.
func (s *scheduler) unqueue(j *job) {
	if j.started {
		return
	}
	j.started = true
	s.mu.Lock()
	s.queued--
	s.mu.Unlock()
}

// failJob tells a job's reader and frees what it holds.
func (s *scheduler) failJob(j *job, err error) {
	j.fail(err)
	s.dropIf(func(b *branch) bool { return b.job == j })
}

// release takes a branch out of the running and gives back its sequence.
func (s *scheduler) release(b *branch) {
	s.running = slices.DeleteFunc(s.running, func(x *branch) bool { return x == b })
	s.dev.truncate(b.seq, 0)
	s.free = append(s.free, b.seq)
	b.seq, b.done = noSeq, 0
	s.full = false
}

// step decodes one batch and lets the samples go on from it.
func (s *scheduler) step() {
	s.turn++
	rows, spans := plan(s.running, s.lim, s.turn)
	err := s.dev.decode(rows, func() bool { return s.abandoned(spans) })
	switch {
	case err == nil:
		for _, sp := range spans {
			s.advance(sp, rows)
		}
	case errors.Is(err, errNoRoom):
		s.makeRoom()
	case !errors.Is(err, errAborted):
		for _, sp := range spans {
			s.failJob(sp.branch.job, err)
		}
	}
}

// abandoned reports whether nobody waits for a batch any more.
func (s *scheduler) abandoned(spans []span) bool {
	if s.quit.Load() {
		return true
	}
	for _, sp := range spans {
		if !sp.branch.job.gone() {
			return false
		}
	}
	return true
}

// advance takes the logits that a branch waited for and goes on from them.
func (s *scheduler) advance(sp span, rows []row) {
	b := sp.branch
	if b.seq == noSeq { // its job failed earlier in this step
		return
	}
	for i := sp.first; i < sp.first+sp.n; i++ {
		b.done++
		if b.done == len(b.job.prompt) {
			s.remember(b)
		}
		if !rows[i].want {
			continue
		}
		forks, err := b.job.chooser.choose(b, rows[i].pos, s.dev.logits(i))
		if err != nil {
			s.failJob(b.job, err)
			return
		}
		if b.done == len(b.tokens) {
			s.split(b, forks)
			return
		}
	}
}

// split lets b go on as the first fork, and adds a branch for each other.
func (s *scheduler) split(b *branch, forks []fork) {
	if len(forks) == 0 {
		s.release(b)
		return
	}
	base := slices.Clip(b.tokens) // so that every append copies
	at := slices.Index(s.running, b) + 1
	for _, f := range forks[1:] {
		nb := &branch{job: b.job, samples: f.samples, tokens: append(base, f.tokens...), seq: noSeq}
		if len(s.free) == 0 {
			s.waiting = slices.Insert(s.waiting, 0, nb)
			continue
		}
		nb.seq, s.free = s.free[len(s.free)-1], s.free[:len(s.free)-1]
		nb.done = b.done
		s.dev.share(b.seq, nb.seq, 0, b.done)
		s.running = slices.Insert(s.running, at, nb)
		at++
	}
	b.tokens, b.samples = append(b.tokens, forks[0].tokens...), forks[0].samples
}

// remember offers the prompt that b has just decoded to the prefix cache.
func (s *scheduler) remember(b *branch) {
	ch, ok := s.cache.store(b.job.prompt)
	if !ok {
		return
	}
	if ch.evict != nil {
		s.dev.truncate(ch.evict.seq, 0)
	}
	if ch.entry.saved != nil { // rare: a branch begins with it that started from another one
		s.cache.drop(ch.entry)
		return
	}
	if ch.total < ch.keep {
		s.dev.truncate(ch.entry.seq, ch.total)
		return
	}
	s.dev.share(b.seq, ch.entry.seq, ch.keep, ch.total)
}

// makeRoom frees cells: cached prefixes first, then the youngest branch of the
// job that has the most, which is decoded again later.
func (s *scheduler) makeRoom() {
	if e := s.cache.evict(func(e *prefix) bool { return e.saved == nil }); e != nil {
		s.dev.truncate(e.seq, 0)
		return
	}
	_, held := byNeed(nil, s.running)
	b := spare(s.running, held)
	if b == nil {
		b = s.running[len(s.running)-1]
	}
	if len(s.running) == 1 {
		s.failJob(b.job, errNoRoom)
		return
	}
	s.release(b)
	s.waiting = slices.Insert(s.waiting, 0, b)
	s.full = true
}
