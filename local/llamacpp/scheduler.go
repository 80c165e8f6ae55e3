package llamacpp

import (
	"errors"
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
}

// scheduler runs all jobs of a Model through its device, one decode after the
// other. Its goroutine alone touches the device and the fields of the first
// group; everybody else hands in jobs with submit.
type scheduler struct {
	dev     device
	lim     limits
	cache   *prefixCache
	free    []int     // sequences that no branch holds
	waiting []*branch // without a sequence, in the order they are to run
	running []*branch // with a sequence, oldest job first
	samples int       // samples of started jobs that have not ended
	full    bool      // the device ran out of room: start nothing until a branch ends

	mu     sync.Mutex
	inbox  []*job
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

// submit hands in a job. Its samples' events arrive in its mailbox.
func (s *scheduler) submit(j *job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
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
		if b.job.started {
			s.samples -= len(b.samples)
		}
		return true
	})
	for _, b := range slices.Clone(s.running) {
		if drop(b) {
			s.samples -= len(b.samples)
			s.release(b)
		}
	}
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

// admit starts waiting branches while there is room for them. A branch whose
// beginning another one is decoding right now waits for it.
func (s *scheduler) admit() {
	still := s.waiting[:0]
	for i, b := range s.waiting {
		if len(s.running) > 0 && (s.full || !s.fits(b)) {
			still = append(still, s.waiting[i:]...)
			break
		}
		if !s.start(b) {
			still = append(still, b)
		}
	}
	clear(s.waiting[len(still):])
	s.waiting = still
}

// fits reports whether b can have a sequence, and each of its samples one of
// its own later on.
func (s *scheduler) fits(b *branch) bool {
	if len(s.free) == 0 {
		return false
	}
	return b.job.started || s.samples+len(b.samples) <= s.lim.seqs
}

// start gives b a sequence with as much of its tokens as is decoded already
// anywhere; false if it is better to wait.
func (s *scheduler) start(b *branch) bool {
	most := len(b.tokens) - 1 // the last one is decoded for its logits
	entry, n := s.cache.match(b.tokens[:most])
	src := noSeq
	if entry != nil {
		src = entry.seq
	}
	coming := 0
	for _, r := range s.running {
		shared := commonPrefix(r.tokens, b.tokens[:most])
		if k := min(shared, r.done); k > n {
			src, n, entry = r.seq, k, nil
		}
		coming = max(coming, shared)
	}
	if coming-n >= minPrefix {
		return false
	}
	if entry != nil {
		s.cache.touch(entry)
	}
	b.seq, s.free = s.free[len(s.free)-1], s.free[:len(s.free)-1]
	b.done = n
	s.dev.share(src, b.seq, 0, n)
	if !b.job.started {
		b.job.started, b.job.cached = true, n
		s.samples += len(b.samples)
	}
	s.running = append(s.running, b)
	return true
}

// step decodes one batch and lets the samples go on from it.
func (s *scheduler) step() {
	rows, spans := plan(s.running, s.lim.rows, s.lim.outputs)
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
	left := 0
	for _, f := range forks {
		left += len(f.samples)
	}
	s.samples -= len(b.samples) - left
	if left == 0 {
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
	if ch.total < ch.keep {
		s.dev.truncate(ch.entry.seq, ch.total)
		return
	}
	s.dev.share(b.seq, ch.entry.seq, ch.keep, ch.total)
}

// makeRoom frees cells: cached prefixes first, then the youngest branch, which
// is decoded again later.
func (s *scheduler) makeRoom() {
	if e := s.cache.evict(); e != nil {
		s.dev.truncate(e.seq, 0)
		return
	}
	b := s.running[len(s.running)-1]
	if len(s.running) == 1 {
		s.failJob(b.job, errNoRoom)
		return
	}
	s.release(b)
	s.waiting = slices.Insert(s.waiting, 0, b)
	s.full = true
}
