package socket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"retort/dataset"
)

// spoilt is a store in which the third example turns out to be damaged.
type spoilt struct{ *dataset.Store }

func (s spoilt) damage() error {
	return fmt.Errorf("example 3: %w: wrong checksum", dataset.ErrDamaged)
}

func (s spoilt) Get(ctx context.Context, id string) (dataset.Example, error) {
	if ex, err := s.Store.Get(ctx, id); err != nil || ex.ID != newExample(3).ID {
		return ex, err
	}
	return dataset.Example{}, fmt.Errorf("get example %q: %w", id, s.damage())
}

func (s spoilt) All(ctx context.Context, f dataset.Filter) iter.Seq2[dataset.Example, error] {
	return func(yield func(dataset.Example, error) bool) {
		for ex, err := range s.Store.All(ctx, f) {
			if ex.ID == newExample(3).ID {
				ex, err = dataset.Example{}, fmt.Errorf("read examples: %w", s.damage())
			}
			if !yield(ex, err) {
				return
			}
		}
	}
}

// Stats has values beside its error.
func (s spoilt) Stats(ctx context.Context) (dataset.Stats, error) {
	st, _ := s.Store.Stats(ctx)
	return st, s.damage()
}

func (s spoilt) Verify(ctx context.Context) (dataset.Report, error) {
	r, err := s.Store.Verify(ctx)
	r.Damage = append(r.Damage, s.damage(), fmt.Errorf("the index: %w", dataset.ErrDamaged))
	return r, err
}

func TestClient_damageIsInItsPlace(t *testing.T) {
	dir := storeDir(t)
	s := spoilt{held(t, dir)}
	mustPut(t, s, newExamples(1, 6)...)
	srv, err := serve(s, Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, srv)
	c, err := Dial(t.Context(), Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, c)
	list := items(c.All(t.Context(), dataset.Filter{}))
	if len(list) != 5 {
		t.Errorf("%d examples and errors, want 5", len(list))
	}
	for i, it := range list {
		if ex := it.Value.(dataset.Example); i != 2 && ex.ID != newExample(i+1).ID || i == 2 && !slices.Equal(it.Kinds, []string{"damaged"}) {
			t.Errorf("item %d: %s, %s", i+1, ex.ID, it.Error)
		}
	}
	for _, st := range []step{
		{"all", allWith(dataset.Filter{})},
		{"get", getWith(newExample(3).ID)},
		{"stats", func(ctx context.Context, h holder) (any, error) { return h.Stats(ctx) }},
		{"verify", func(ctx context.Context, h holder) (any, error) { return h.Verify(ctx) }},
	} {
		v, err := st.do(t.Context(), s)
		want := outcome(t, dir, v, err)
		v, err = st.do(t.Context(), c)
		if got := outcome(t, dir, v, err); got != want || !strings.Contains(want, "damaged") {
			t.Errorf("%s: %s, want %s", st.name, got, want)
		}
	}
	r, err := c.Verify(t.Context())
	if err != nil || len(r.Damage) != 2 || !errors.Is(r.Err(), dataset.ErrDamaged) {
		t.Errorf("Verify: %v, %v", r, err)
	}
}

// bulk puts as much into s as no buffer on the way to a client holds.
func bulk(t *testing.T, s *dataset.Store) (n int) {
	t.Helper()
	const kept = 3000
	examples := newExamples(0, kept)
	for i := range examples {
		examples[i].Candidates = []dataset.Candidate{{Model: "m", Response: strings.Repeat("x", 1000)}}
	}
	mustPut(t, s, examples...)
	return kept
}

func TestClient_cutStreamIsAnError(t *testing.T) {
	dir := storeDir(t)
	s := held(t, dir)
	n := bulk(t, s)
	srv, c := served(t, dir, s)
	srv.grace = time.Millisecond
	got := 0
	var last error
	for _, err := range c.All(t.Context(), dataset.Filter{}) {
		if last = err; err != nil {
			continue
		}
		if got++; got == 1 {
			shut(t, srv) // cannot let the stream finish, as nobody reads it
		}
	}
	if !errors.Is(last, ErrLost) || got >= n {
		t.Errorf("%d of %d examples, then %v; want ErrLost", got, n, last)
	}
}

func TestStore_goesOnWithTheNextHolder(t *testing.T) {
	dir := storeDir(t)
	first := shared(t, dir)
	n := bulk(t, first.holder.(*dataset.Store))
	first.server.grace = time.Millisecond
	second := shared(t, dir)
	got := 0
	for ex, err := range second.All(t.Context(), dataset.Filter{Limit: n - 1}) {
		if err != nil || ex.ID != newExample(got).ID {
			t.Fatalf("example %d: %s, %v", got, ex.ID, err)
		}
		if got++; got == 1 {
			shut(t, first)
		}
	}
	if got != n-1 || !second.Held() {
		t.Errorf("%d of %d examples; held is %v", got, n-1, second.Held())
	}
}

// fading is a holder that ends when it has given one example.
type fading struct {
	holder
	ended func()
}

func (f *fading) All(context.Context, dataset.Filter) iter.Seq2[dataset.Example, error] {
	return func(yield func(dataset.Example, error) bool) {
		if yield(newExample(1), nil) {
			f.ended()
			yield(dataset.Example{}, ErrLost)
		}
	}
}

func (*fading) Close() error { return nil }

// Where the next holder does not get as far as the examples were read, that is an
// error, and no reason to leave that holder: it is this process.
func TestStore_losesItsPlace(t *testing.T) {
	for name, want := range map[string]error{"forgotten": ErrLost, "canceled": context.Canceled} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := &Store{dir: storeDir(t), patience: 50 * time.Millisecond, holder: &fading{ended: func() {
				if want == context.Canceled {
					cancel()
				}
			}}}
			defer shut(t, s)
			if err := lastError(s.All(ctx, dataset.Filter{})); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			mustPut(t, s, newExample(2))
			if !s.Held() {
				t.Error("not held")
			}
		})
	}
}

// What the server was doing for a caller who is gone must end.
func TestServer_endsWithTheCaller(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	dir := storeDir(t)
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	bulk(t, s)
	srv, err := Serve(s, Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(t.Context(), Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	for range c.All(t.Context(), dataset.Filter{}) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range c.All(ctx, dataset.Filter{}) {
		if cancel(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	srv.calls.Wait() // while nothing is closed
	shut(t, c)
	shut(t, srv)
	shut(t, s)
	goleak.VerifyNone(t, ignore)
}

func TestServer_closeLetsCallsFinish(t *testing.T) {
	dir := storeDir(t)
	s := held(t, dir)
	srv, c := served(t, dir, s)
	acked := make(chan int, 1000)
	var puts sync.WaitGroup
	for w := range 8 {
		puts.Go(func() {
			for n := w; ; n += 8 {
				_, err := c.Put(t.Context(), newExample(n))
				if err != nil {
					if !unanswered(err) {
						t.Errorf("put %d: %v", n, err)
					}
					return
				}
				acked <- n
			}
		})
	}
	for range 20 {
		checkThere(t, s, <-acked)
	}
	start := time.Now()
	shut(t, srv)
	if d := time.Since(start); d >= srv.grace {
		t.Errorf("Close took %v: some call did not finish", d)
	}
	puts.Wait()
	close(acked)
	for n := range acked {
		checkThere(t, s, n)
	}
}

func checkThere(t *testing.T, h holder, n int) {
	t.Helper()
	if ex, err := h.Get(t.Context(), newExample(n).ID); err != nil || ex.Response != newExample(n).Response {
		t.Errorf("example %d was acknowledged: %q, %v", n, ex.Response, err)
	}
}

// All that one process does at once goes on when the holder ends: with one
// takeover, not one each.
func TestStore_manyCallersTakeOver(t *testing.T) {
	dir := storeDir(t)
	first, second := shared(t, dir), shared(t, dir)
	const callers, each = 8, 30
	var begun, done sync.WaitGroup
	begun.Add(callers)
	for w := range callers {
		done.Go(func() {
			for n := range each {
				if n == each/2 {
					begun.Done()
				}
				n := w*each + n
				if _, err := second.Put(t.Context(), newExample(n)); err != nil {
					t.Errorf("put %d: %v", n, err)
				}
				checkThere(t, second, n)
			}
		})
	}
	begun.Wait()
	shut(t, first)
	done.Wait()
	if st, err := second.Stats(t.Context()); err != nil || st.Total != callers*each || !second.Held() {
		t.Errorf("%d examples, %v; held is %v", st.Total, err, second.Held())
	}
}

// Queries must be logged once each, whoever holds the store meanwhile.
func TestStore_logsOnceThroughManyHolders(t *testing.T) {
	dir := storeDir(t)
	const stores, each = 5, 20
	var done sync.WaitGroup
	for w := range stores {
		s := shared(t, dir)
		done.Go(func() {
			defer s.Close() // the next one holds the store then
			for n := range each {
				if err := s.PutQueries(t.Context(), newQuery(w*each+n)); err != nil {
					t.Errorf("query %d of %d: %v", n, w, err)
				}
			}
		})
	}
	done.Wait()
	if got := items(held(t, dir).Queries(t.Context())); len(got) != stores*each {
		t.Errorf("%d queries are logged, want %d", len(got), stores*each)
	}
}

// lies serves answers of a holder that is not as it should be.
func lies(t *testing.T, dir string, answer http.HandlerFunc) {
	t.Helper()
	l, err := net.Listen("unix", Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: answer}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
}

func TestOpen_otherVersion(t *testing.T) {
	dir := storeDir(t)
	held(t, dir)
	lies(t, dir, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(protocolHeader, "2")
		w.Header().Set(pidHeader, "123")
		fmt.Fprintln(w, `{"value":{"pid":123}}`)
	})
	start := time.Now()
	_, err := Open(t.Context(), dir, dataset.Options{})
	if !errors.Is(err, ErrProtocol) || !errors.Is(err, dataset.ErrBusy) || !strings.Contains(err.Error(), `"123"`) {
		t.Errorf("%v, want ErrBusy and ErrProtocol", err)
	}
	if d := time.Since(start); d > patience/2 {
		t.Errorf("it took %v to say so", d)
	}
}

func TestServer_refusesOtherVersion(t *testing.T) {
	dir := storeDir(t)
	s := held(t, dir)
	_, c := served(t, dir, s)
	data, err := json.Marshal(newExample(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, header := range map[string]string{"none": "", "another": "2"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://store/put", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(protocolHeader, header)
		resp, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	if st, err := s.Stats(t.Context()); err != nil || st.Total != 0 {
		t.Errorf("%d examples were stored, %v", st.Total, err)
	}
}

// Whatever comes back that is no whole answer is an error.
func TestClient_takesNoPartForTheWhole(t *testing.T) {
	tests := map[string]struct{ answer, want string }{
		"nothing":     {"", "ended before it had answered"},
		"no end":      {`{"value":3}` + "\n", "ended before it had answered"},
		"half a line": {`{"value":3}` + "\n" + `{"en`, "ended before it had answered"},
		"end alone":   {`{"end":true}` + "\n", "the answer has 0 values"},
		"two values":  {`{"value":3}{"value":4}{"end":true}` + "\n", "the answer has 2 values"},
		"no JSON":     {"<html>", "ended before it had answered"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := storeDir(t)
			lies(t, dir, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(protocolHeader, protocol)
				if r.URL.Path == "/owner" {
					fmt.Fprintln(w, `{"value":{"pid":1}}{"end":true}`)
					return
				}
				fmt.Fprint(w, tc.answer)
			})
			c, err := Dial(t.Context(), Path(dir))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if n, err := c.Put(t.Context(), newExample(1)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%d, %v; want %q", n, err, tc.want)
			}
		})
	}
}

// A holder that is stopped, or hangs, is no holder that can be reached.
func TestDial_silentHolder(t *testing.T) {
	dir := storeDir(t)
	silent, err := net.Listen("unix", Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := reach(t.Context(), Path(dir), 20*time.Millisecond); !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v, want ErrUnreachable", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, Path(dir)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline: %v", err)
	}
}

// A holder that does not serve is waited for as long as the caller may, and is
// no longer in the way when it ends.
func TestOpen_waitsForTheHolder(t *testing.T) {
	dir := storeDir(t)
	mute, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	impatient := &Store{dir: dir}
	if err := impatient.take(t.Context(), time.Now()); !errors.Is(err, dataset.ErrBusy) {
		t.Errorf("%v, want ErrBusy", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, dir, dataset.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	opened := make(chan error)
	go func() {
		s, err := Open(t.Context(), dir, dataset.Options{})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	shut(t, mute)
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// A call that found nobody in time must not spoil the next one.
func TestStore_triesAnew(t *testing.T) {
	dir := storeDir(t)
	first, second := shared(t, dir), shared(t, dir)
	second.patience = time.Millisecond
	shut(t, first)
	mute, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Put(t.Context(), newExample(1)); !errors.Is(err, dataset.ErrBusy) {
		t.Errorf("%v, want ErrBusy", err)
	}
	shut(t, mute)
	mustPut(t, second, newExample(1))
}

// Close waits for a call in progress, which may make others meanwhile.
func TestStore_closeLetsLoopsFinish(t *testing.T) {
	dir := storeDir(t)
	s := shared(t, dir)
	bulk(t, s.holder.(*dataset.Store)) // more than is read ahead of the loop
	closed := make(chan error)
	for ex, err := range s.All(t.Context(), dataset.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		go func() { closed <- s.Close() }()
		for !errors.Is(err, dataset.ErrClosed) {
			_, err = s.Get(t.Context(), ex.ID)
		}
		break
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// A holder that fails each time is not asked for ever.
func TestStore_givesUp(t *testing.T) {
	dir := storeDir(t)
	held(t, dir)
	var asked atomic.Int32
	lies(t, dir, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(protocolHeader, protocol)
		if r.URL.Path == "/owner" {
			fmt.Fprintln(w, `{"value":{"pid":1}}{"end":true}`)
			return
		}
		asked.Add(1)
		panic(http.ErrAbortHandler)
	})
	s := shared(t, dir)
	s.patience = 50 * time.Millisecond
	if _, err := s.Put(t.Context(), newExample(1)); !errors.Is(err, ErrLost) || asked.Load() < 2 {
		t.Errorf("%v after %d tries, want ErrLost after several", err, asked.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.patience = time.Hour
	if _, err := s.Put(ctx, newExample(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// FuzzAnswer reads anything as an answer: it must come to an end, and only
// what ends in the mark is without an error.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"value":{"id":"a"}}` + "\n" + `{"value":{},"error":{"text":"x","kinds":["damaged"]}}` + "\n" + `{"end":true}` + "\n"))
	f.Add([]byte(`{"value":null,"error":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var last error
		for _, last = range decode[dataset.Example](t.Context(), call{name: "all", what: "read examples"}, bytes.NewReader(answer)) {
		}
		if last == nil && !bytes.Contains(bytes.ToLower(answer), []byte(`"`)) {
			t.Errorf("%q is taken for a whole answer", answer)
		}
	})
}
