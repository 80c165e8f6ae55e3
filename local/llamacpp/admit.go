package llamacpp

// admit starts waiting branches while there is room for them, those first
// whose jobs hold least.
func (s *scheduler) admit() {
	if len(s.waiting) == 0 {
		return
	}
	queue, held := byNeed(s.waiting, s.running)
	s.waiting = nil
	for _, b := range queue {
		victim, ok := s.way(b, held)
		if !ok || s.coming(b) {
			s.waiting = append(s.waiting, b)
			continue
		}
		if victim != nil {
			held[victim.job]--
			s.release(victim)
			s.waiting = append(s.waiting, victim)
		}
		held[b.job]++
		s.start(b)
	}
}

// way reports whether b can have a sequence, and the branch that has to give up
// its own for it, if any: a job that holds none at all takes one from the job
// that holds the most.
func (s *scheduler) way(b *branch, held map[*job]int) (victim *branch, ok bool) {
	if len(s.free) > 0 && (!s.full || len(s.running) == 0) {
		return nil, true
	}
	if held[b.job] > 0 {
		return nil, false
	}
	victim = spare(s.running, held)
	return victim, victim != nil
}

// coming reports whether another branch is decoding right now what b begins
// with: then it is better to wait for it.
func (s *scheduler) coming(b *branch) bool {
	most := b.borrowable()
	_, n := s.cache.match(b.tokens[:most])
	coming := 0
	for _, r := range s.running {
		shared := commonPrefix(r.tokens, b.tokens[:most])
		n, coming = max(n, min(shared, r.done)), max(coming, shared)
	}
	return coming-n >= minPrefix
}

// start gives b a sequence with as much of its tokens as is decoded already
// anywhere.
func (s *scheduler) start(b *branch) {
	b.seq, s.free = s.free[len(s.free)-1], s.free[:len(s.free)-1]
	src, n := s.source(b)
	if s.lim.shelf > 0 && len(b.tokens)-n >= minShelved {
		if n < minPrefix { // not worth keeping its source back
			src, n = noSeq, 0
		}
		s.shelve(b.seq, src)
	}
	b.done = n
	s.dev.share(src, b.seq, 0, n)
	if !b.job.started {
		s.unqueue(b.job)
		b.job.cached = n
	}
	s.running = append(s.running, b)
}

// source finds the sequence that holds most of what b begins with, and how much
// that is. The sequence of b is empty.
func (s *scheduler) source(b *branch) (seq, n int) {
	most := b.borrowable()
	seq = noSeq
	entry, n := s.cache.match(b.tokens[:most])
	if entry != nil && entry.saved != nil && n < minPrefix { // not worth the way
		entry, n = nil, 0
	}
	if entry != nil {
		seq = entry.seq
	}
	for _, r := range s.running {
		if k := min(commonPrefix(r.tokens, b.tokens[:most]), r.done); k > n {
			seq, n, entry = r.seq, k, nil
		}
	}
	if entry == nil {
		return seq, n
	}
	if !s.unshelve(entry, b.seq) {
		return s.source(b)
	}
	s.cache.touch(entry)
	return seq, n
}
