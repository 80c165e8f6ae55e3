package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"retort/llm"
)

// fakeJob is a generation over the fake model. Sample i has the seed seed+i.
func fakeJob(ctx context.Context, prompt []int32, n, limit int, seed int64) *job {
	j := &job{ctx: ctx, prompt: prompt[:len(prompt):len(prompt)], box: newMailbox()}
	j.chooser = &generation{sampler: newSampler(llm.Sampling{Temperature: new(1.0)}), limit: limit,
		begun: time.Now(), words: fakeWords{}, job: j}
	for i := range n {
		j.samples = append(j.samples, &sample{index: i, rng: rand.New(rand.NewPCG(uint64(seed)+uint64(i), 0))})
	}
	return j
}

// fakeAnswer is what sample of fakeJob is to say, computed one token at a time.
func fakeAnswer(prompt []int32, limit int, seed int64) string {
	s := newSampler(llm.Sampling{Temperature: new(1.0)})
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	tokens := append([]int32(nil), prompt...)
	var text strings.Builder
	for range limit {
		_ = s.read(fakeLogits(tokens))
		token := s.draw(rng)
		if token == 0 {
			break
		}
		tokens = append(tokens, token)
		text.WriteString(fakeWords{}.piece(token))
	}
	return text.String()
}

// wait reads a job to its end.
func (j *job) wait() ([]llm.Response, error) {
	defer j.left.Store(true)
	out := make([]llm.Response, len(j.samples))
	for left := len(out); left > 0; {
		got, err := j.box.take(j.ctx)
		if err != nil {
			return nil, err
		}
		for _, msg := range got {
			if msg.err != nil {
				return nil, msg.err
			}
			if gather(&out[msg.sample], msg) {
				left--
			}
		}
	}
	return out, nil
}

// counting returns the tokens from, from+1, ... as a prompt.
func counting(from, n int) []int32 {
	p := make([]int32, n)
	for i := range p {
		p[i] = int32(from + i)
	}
	return p
}

func join32(a []int32, b ...int32) []int32 { return append(a[:len(a):len(a)], b...) }

// askFake runs a job over the fake model and checks each of its n answers.
func askFake(t *testing.T, s *scheduler, prompt []int32, n, limit int, start int64) []llm.Response {
	t.Helper()
	j := fakeJob(t.Context(), prompt, n, limit, start)
	if err := s.submit(j); err != nil {
		t.Fatal(err)
	}
	out, err := j.wait()
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range out {
		if want := fakeAnswer(prompt, limit, start+int64(i)); r.Text != want {
			t.Errorf("sample %d: %q, want %q", i, r.Text, want)
		}
	}
	return out
}

func TestScheduler_givesEachSampleItsOwnAnswer(t *testing.T) {
	dev := newFakeDevice(t, 1000)
	s := newScheduler(dev, limits{rows: 16, outputs: 4, seqs: 8, cached: 2, queue: 200})
	defer s.close()
	askFake(t, s, counting(1, 50), 6, 12, 100)
}

// TestScheduler_survivesPressure runs many jobs with too few sequences and
// cells for them, some of them cancelled, and checks every answer.
func TestScheduler_survivesPressure(t *testing.T) {
	for name, lim := range map[string]limits{
		"roomy":         {rows: 64, outputs: 16, seqs: 64, cached: 4, queue: 200},
		"few outputs":   {rows: 16, outputs: 2, seqs: 64, cached: 4, queue: 200},
		"few sequences": {rows: 16, outputs: 4, seqs: 3, cached: 1, queue: 200},
		"no cache":      {rows: 8, outputs: 4, seqs: 8, cached: 0, queue: 200},
	} {
		t.Run(name, func(t *testing.T) {
			dev := newFakeDevice(t, 330)
			s := newScheduler(dev, lim)
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() { pressure(t, s, uint64(g), 60) })
			}
			wg.Wait()
			s.close()
			checkEmpty(t, s, dev)
		})
	}
}

func pressure(t *testing.T, s *scheduler, seed uint64, shared int) {
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range 15 {
		base := counting(1000*r.IntN(3), shared+r.IntN(20))
		prompt := join32(base, counting(int(seed)*1000+i, 1+r.IntN(50))...)
		ctx, cancel := context.WithCancel(t.Context())
		n, limit, start := 1+r.IntN(6), 1+r.IntN(20), int64(r.IntN(1000))
		j := fakeJob(ctx, prompt, n, limit, start)
		if err := s.submit(j); err != nil {
			t.Error(err)
		}
		if r.IntN(4) == 0 {
			go cancel()
		}
		out, err := j.wait()
		for k := range out {
			if want := fakeAnswer(prompt, limit, start+int64(k)); out[k].Text != want {
				t.Errorf("sample %d of %d: %q, want %q", k, n, out[k].Text, want)
			}
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		cancel()
	}
}

// checkEmpty checks that a closed scheduler holds nothing but its cache.
func checkEmpty(t *testing.T, s *scheduler, dev *fakeDevice) {
	t.Helper()
	s.dropGone()
	if len(s.running) != 0 || len(s.waiting) != 0 || s.queued != 0 || len(s.free) != s.lim.seqs {
		t.Errorf("left over: %d running, %d waiting, %d in the queue, %d of %d sequences free",
			len(s.running), len(s.waiting), s.queued, len(s.free), s.lim.seqs)
	}
	for _, e := range s.cache.entries {
		dev.truncate(e.seq, 0)
	}
	if n := dev.used(); n != 0 {
		t.Errorf("%d cells in use after all is done", n)
	}
}

func TestScheduler_prefillsOnceForAllSamples(t *testing.T) {
	dev := newFakeDevice(t, 1000)
	s := newScheduler(dev, limits{rows: 256, outputs: 16, seqs: 32, cached: 2, queue: 200})
	j := fakeJob(t.Context(), counting(1, 100), 8, 1, 1)
	if err := s.submit(j); err != nil {
		t.Fatal(err)
	}
	out, err := j.wait()
	if err != nil {
		t.Fatal(err)
	}
	s.close()
	if dev.rows != 100 {
		t.Errorf("%d tokens decoded for one prompt of 100 and 8 answers of one token", dev.rows)
	}
	if c := out[0].Usage.CachedTokens; c != 0 {
		t.Errorf("sample 0 has %d cached tokens of a new prompt", c)
	}
	if c := out[1].Usage.CachedTokens; c != 100 {
		t.Errorf("sample 1 has %d cached tokens, want the whole prompt of 100", c)
	}
}

// TestScheduler_prefillsSharedPrefixOnce hands in requests over the same
// examples while the first of them is being decoded.
func TestScheduler_prefillsSharedPrefixOnce(t *testing.T) {
	dev := newFakeDevice(t, 5000)
	s := newScheduler(dev, limits{rows: 64, outputs: 16, seqs: 32, cached: 2, queue: 200})
	shots := counting(1, 500)
	var late []*job
	for i := range 5 {
		late = append(late, fakeJob(t.Context(), join32(shots, int32(900+i), 1, 2), 1, 1, int64(i)))
	}
	dev.before = func(n int) {
		if n != 2 {
			return
		}
		for _, j := range late {
			if err := s.submit(j); err != nil {
				t.Error(err)
			}
		}
	}
	first := fakeJob(t.Context(), join32(shots, 800, 1, 2), 1, 1, 1)
	if err := s.submit(first); err != nil {
		t.Fatal(err)
	}
	for _, j := range append([]*job{first}, late...) {
		if _, err := j.wait(); err != nil {
			t.Error(err)
		}
	}
	s.close()
	if want := 500 + 6*3; dev.rows != want {
		t.Errorf("%d tokens decoded, want %d: the shared ones once, and each tail", dev.rows, want)
	}
}

func TestScheduler_waitersGoOnWhenTheFirstIsCancelled(t *testing.T) {
	dev := newFakeDevice(t, 5000)
	s := newScheduler(dev, limits{rows: 64, outputs: 16, seqs: 32, cached: 2, queue: 200})
	defer s.close()
	shots := counting(1, 500)
	ctx, cancel := context.WithCancel(t.Context())
	second := fakeJob(t.Context(), join32(shots, 900), 1, 3, 5)
	dev.before = func(n int) {
		switch n {
		case 2:
			if err := s.submit(second); err != nil {
				t.Error(err)
			}
		case 4:
			cancel()
		}
	}
	first := fakeJob(ctx, join32(shots, 800), 1, 3, 1)
	if err := s.submit(first); err != nil {
		t.Fatal(err)
	}
	if _, err := first.wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled job: %v", err)
	}
	out, err := second.wait()
	if err != nil {
		t.Fatal(err)
	}
	if want := fakeAnswer(second.prompt, 3, 5); out[0].Text != want {
		t.Errorf("%q, want %q", out[0].Text, want)
	}
}

func TestScheduler_failsOnlyTheJobsOfABadBatch(t *testing.T) {
	dev := newFakeDevice(t, 1000)
	broken := errors.New("broken")
	dev.fail = map[int]error{1: broken}
	s := newScheduler(dev, limits{rows: 64, outputs: 16, seqs: 4, cached: 2, queue: 200})
	bad := fakeJob(t.Context(), counting(1, 40), 3, 2, 1)
	if err := s.submit(bad); err != nil {
		t.Fatal(err)
	}
	if _, err := bad.wait(); !errors.Is(err, broken) {
		t.Errorf("error %v, want the device's", err)
	}
	good := fakeJob(t.Context(), counting(1, 40), 3, 2, 1)
	if err := s.submit(good); err != nil {
		t.Fatal(err)
	}
	if _, err := good.wait(); err != nil {
		t.Error(err)
	}
	s.close()
	checkEmpty(t, s, dev)
}

func TestScheduler_closeFailsWhatRuns(t *testing.T) {
	dev := newFakeDevice(t, 1000)
	s := newScheduler(dev, limits{rows: 4, outputs: 4, seqs: 4, cached: 2, queue: 200})
	running := fakeJob(t.Context(), counting(1, 200), 1, 100, 1)
	started := make(chan struct{})
	dev.before = func(n int) {
		switch n {
		case 1:
			close(started)
		case 2: // not to end before it is closed, however late that is
			for !s.quit.Load() {
				runtime.Gosched()
			}
		}
	}
	if err := s.submit(running); err != nil {
		t.Fatal(err)
	}
	<-started
	s.close()
	if _, err := running.wait(); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
	if err := s.submit(running); !errors.Is(err, ErrClosed) {
		t.Errorf("submit after close: %v, want ErrClosed", err)
	}
}

// TestScheduler_slowReaderHoldsUpNobody never reads one job and reads another.
func TestScheduler_slowReaderHoldsUpNobody(t *testing.T) {
	s := newScheduler(newFakeDevice(t, 2000), limits{rows: 32, outputs: 8, seqs: 8, cached: 2, queue: 200})
	defer s.close()
	if err := s.submit(fakeJob(t.Context(), counting(1, 40), 4, 200, 1)); err != nil {
		t.Fatal(err)
	}
	j := fakeJob(t.Context(), counting(500, 40), 1, 300, 2)
	if err := s.submit(j); err != nil {
		t.Fatal(err)
	}
	if _, err := j.wait(); err != nil {
		t.Error(err)
	}
}

func TestScheduler_scoresEveryPath(t *testing.T) {
	prompt := counting(1, 20)
	paths := [][]int32{{5}, {5, 6, 7, 8}, {5, 6, 9}, {5, 6}, {11, 12}, counting(2, 40)}
	dev := newFakeDevice(t, 1000)
	s := newScheduler(dev, limits{rows: 16, outputs: 5, seqs: 8, cached: 0, queue: 200})
	defer s.close()
	j := &job{ctx: t.Context(), prompt: prompt, box: newMailbox()}
	j.chooser = &scoring{job: j}
	for i, p := range paths {
		for k := range p {
			p[k] %= fakeVocab
		}
		j.samples = append(j.samples, &sample{index: i, path: p})
	}
	if err := s.submit(j); err != nil {
		t.Fatal(err)
	}
	scores, err := collectScores(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range paths {
		want, tokens := 0.0, join32(prompt)
		for _, token := range p {
			l := fakeLogits(tokens)
			want += float64(l[token]) - logNorm(l)
			tokens = append(tokens, token)
		}
		if d := scores[i].Logprob - want; d > 1e-9 || d < -1e-9 || scores[i].Tokens != len(p) {
			t.Errorf("path %v: %+v, want %g over %d tokens", p, scores[i], want, len(p))
		}
	}
	// The prompt, 5-6-7 once for the four that begin with it, 11, and 39 of the last.
	if want := 20 + 3 + 1 + 39; dev.rows != want {
		t.Errorf("%d tokens decoded, want %d", dev.rows, want)
	}
}

func TestPlan_putsRunningAnswersFirst(t *testing.T) {
	j := &job{chooser: &generation{}, prompt: counting(0, 10)}
	long := &branch{job: j, tokens: counting(0, 10), done: 2, seq: 0}
	short := &branch{job: j, tokens: counting(0, 12), done: 11, seq: 1}
	rows, spans := plan([]*branch{long, short}, limits{rows: 4, outputs: 8}, 0)
	got := fmt.Sprint(rows, len(spans))
	want := fmt.Sprint([]row{{1, 11, 11, true}, {0, 2, 2, false}, {0, 3, 3, false}, {0, 4, 4, false}}, 2)
	if got != want {
		t.Errorf("plan = %s, want %s", got, want)
	}
}
