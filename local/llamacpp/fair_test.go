package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/llm"
)

func TestShares(t *testing.T) {
	for _, tc := range []struct {
		total       int
		needs, want []int
	}{
		{256, []int{9000, 30}, []int{226, 30}},
		{256, []int{9000, 9000}, []int{128, 128}},
		{10, []int{9, 9, 9, 1}, []int{3, 3, 3, 1}},
		{4, []int{1, 2}, []int{1, 2}},
		{1, []int{5, 5}, []int{1, 0}},
		{0, []int{5}, []int{0}},
		{7, nil, []int{}},
	} {
		if d := cmp.Diff(tc.want, shares(tc.total, tc.needs)); d != "" {
			t.Errorf("shares(%d, %v): %s", tc.total, tc.needs, d)
		}
	}
}

func TestTurns_servesOneOfEachJob(t *testing.T) {
	a, b, c := &job{}, &job{}, &job{}
	var all []*branch
	for i, j := range []*job{a, a, a, b, c, c} {
		all = append(all, &branch{job: j, seq: i})
	}
	for turn, want := range []string{"[0 3 4 1 5 2]", "[3 4 0 5 1 2]", "[4 0 3 5 1 2]", "[0 3 4 1 5 2]"} {
		var got []int
		for _, b := range turns(all, turn) {
			got = append(got, b.seq)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("turn %d: %v, want %s", turn, got, want)
		}
	}
}

// whole reports whether the answer to a job of one sample is in its mailbox.
func (j *job) whole() bool {
	j.box.mu.Lock()
	defer j.box.mu.Unlock()
	return slices.ContainsFunc(j.box.queue, func(m message) bool {
		_, done := m.event.(llm.Done)
		return done
	})
}

// TestScheduler_smallRequestIsNotHeldUp hands in a small request while a large
// one has all there is, and counts the batches until it is answered.
func TestScheduler_smallRequestIsNotHeldUp(t *testing.T) {
	lim := limits{rows: 64, outputs: 4, seqs: 6, cached: 2, queue: 9}
	for name, tc := range map[string]struct {
		cells int
		large func() *job
	}{
		"long prompt":  {20000, func() *job { return fakeJob(t.Context(), counting(1, 15000), 1, 1, 1) }},
		"many samples": {5000, func() *job { return fakeJob(t.Context(), counting(1, 40), 64, 60, 1) }},
		"full cache":   {160, func() *job { return fakeJob(t.Context(), counting(1, 20), 64, 60, 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			dev := newFakeDevice(t, tc.cells)
			s := newScheduler(dev, lim)
			large, small := tc.large(), fakeJob(t.Context(), counting(700, 30), 1, 5, 3)
			const at = 30
			finished, seen := 0, make(chan struct{})
			dev.before = func(n int) {
				if n == at {
					if err := s.submit(small); err != nil {
						t.Error(err)
					}
				}
				if n > at && finished == 0 && small.whole() {
					finished = n
					large.left.Store(true)
					close(seen)
				}
			}
			if err := s.submit(large); err != nil {
				t.Fatal(err)
			}
			<-seen
			if _, err := small.wait(); err != nil {
				t.Fatal(err)
			}
			s.close()
			if took := finished - at; took > 12 {
				t.Errorf("answered after %d batches, want its own 5 and few more", took)
			}
			checkEmpty(t, s, dev)
		})
	}
}

func TestScheduler_refusesMoreThanMayWait(t *testing.T) {
	dev := newFakeDevice(t, 1000)
	held, release := make(chan struct{}), make(chan struct{})
	dev.before = func(n int) {
		if n == 1 {
			close(held)
			<-release
		}
	}
	s := newScheduler(dev, limits{rows: 16, outputs: 4, seqs: 4, cached: 1, queue: 2})
	running := fakeJob(t.Context(), counting(1, 40), 1, 3, 1)
	if err := s.submit(running); err != nil {
		t.Fatal(err)
	}
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	first, second := fakeJob(ctx, counting(100, 40), 1, 3, 1), fakeJob(t.Context(), counting(200, 40), 1, 3, 1)
	third := fakeJob(t.Context(), counting(300, 40), 1, 3, 1)
	for _, j := range []*job{first, second} {
		if err := s.submit(j); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.submit(third); !errors.Is(err, ErrBusy) {
		t.Errorf("the third that waits: %v, want ErrBusy", err)
	}
	cancel()
	close(release)
	for _, j := range []*job{running, second} {
		if _, err := j.wait(); err != nil {
			t.Error(err)
		}
	}
	if err := s.submit(third); err != nil {
		t.Errorf("after the others: %v", err)
	}
	if _, err := third.wait(); err != nil {
		t.Error(err)
	}
	s.close()
	checkEmpty(t, s, dev)
}

// TestScheduler_scoresOnceUnderPressure makes branches of a scoring give way
// and be decoded again: no token may count twice.
func TestScheduler_scoresOnceUnderPressure(t *testing.T) {
	dev := newFakeDevice(t, 90)
	s := newScheduler(dev, limits{rows: 16, outputs: 4, seqs: 4, cached: 1, queue: 9})
	prompt := counting(1, 40)
	j := &job{ctx: t.Context(), prompt: prompt, box: newMailbox()}
	j.chooser = &scoring{job: j}
	for i := range 9 {
		path := counting(i, 12)
		for k := range path {
			path[k] = (path[k] * int32(i+3)) % fakeVocab
		}
		j.samples = append(j.samples, &sample{index: i, path: path})
	}
	var others []*job
	for i := range 4 {
		others = append(others, fakeJob(t.Context(), counting(100*i+100, 30), 3, 8, 1))
	}
	dev.before = func(n int) {
		if n >= 4 && n < 8 {
			if err := s.submit(others[n-4]); err != nil {
				t.Error(err)
			}
		}
	}
	if err := s.submit(j); err != nil {
		t.Fatal(err)
	}
	scores, err := collectScores(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range others {
		if _, err := o.wait(); err != nil {
			t.Error(err)
		}
	}
	s.close()
	for i, smp := range j.samples {
		want, tokens := 0.0, join32(prompt)
		for _, token := range smp.path {
			l := fakeLogits(tokens)
			want += float64(l[token]) - logNorm(l)
			tokens = append(tokens, token)
		}
		if d := scores[i].Logprob - want; d > 1e-9 || d < -1e-9 {
			t.Errorf("path %d: %g, want %g", i, scores[i].Logprob, want)
		}
	}
	checkEmpty(t, s, dev)
}

// TestScheduler_scoresBesideItsTwin scores the same paths for two jobs on too few
// sequences: what one has decoded may not stand in for logits that the other
// still needs.
func TestScheduler_scoresBesideItsTwin(t *testing.T) {
	s := newScheduler(newFakeDevice(t, 400), limits{rows: 7, outputs: 3, seqs: 3, cached: 1, queue: 9})
	defer s.close()
	prompt := counting(1, 10)
	var jobs []*job
	for range 3 {
		j := &job{ctx: t.Context(), prompt: prompt, box: newMailbox()}
		j.chooser = &scoring{job: j}
		for i := range 5 {
			path := counting(i, 9)
			for k := range path {
				path[k] = (path[k] * int32(i+3)) % fakeVocab
			}
			j.samples = append(j.samples, &sample{index: i, path: path})
		}
		jobs = append(jobs, j)
		if err := s.submit(j); err != nil {
			t.Fatal(err)
		}
	}
	for n, j := range jobs {
		scores, err := collectScores(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		for i, smp := range j.samples {
			want, tokens := 0.0, join32(prompt)
			for _, token := range smp.path {
				l := fakeLogits(tokens)
				want += float64(l[token]) - logNorm(l)
				tokens = append(tokens, token)
			}
			if d := scores[i].Logprob - want; d > 1e-9 || d < -1e-9 {
				t.Errorf("job %d, path %d: %g, want %g", n, i, scores[i].Logprob, want)
			}
		}
	}
}
