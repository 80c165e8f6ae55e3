package wrap_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/llm/wrap"
)

// runs is a model whose requests take so long in turn to begin, and then say which
// one they are, or fail.
type runs struct {
	waits []time.Duration
	errs  []error // nil where the request is answered

	mu        sync.Mutex
	asked     int
	cancelled int
}

func (m *runs) ID() string { return "runs" }

func (m *runs) Generate(ctx context.Context, _ llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		m.mu.Lock()
		n := m.asked
		m.asked++
		m.mu.Unlock()
		select {
		case <-ctx.Done():
			m.mu.Lock()
			m.cancelled++
			m.mu.Unlock()
			yield(nil, ctx.Err())
			return
		case <-time.After(m.waits[n]):
		}
		if m.errs != nil && m.errs[n] != nil {
			yield(nil, m.errs[n])
			return
		}
		if yield(llm.Text{Delta: fmt.Sprint("answer ", n)}, nil) {
			yield(llm.Done{FinishReason: llm.FinishStop}, nil)
		}
	}
}

func TestHedge(t *testing.T) {
	const s = time.Second
	down := failure{0, true}
	for name, tc := range map[string]struct {
		waits     []time.Duration
		errs      []error
		took      time.Duration
		asked     int
		cancelled int
		text      string // empty: it fails
	}{
		"in time":          {[]time.Duration{7 * s}, nil, 7 * s, 1, 0, "answer 0"},
		"fails in time":    {[]time.Duration{7 * s}, []error{down}, 7 * s, 1, 0, ""},
		"second is faster": {[]time.Duration{60 * s, 2 * s}, nil, 10 * s, 2, 1, "answer 1"},
		"first is faster":  {[]time.Duration{9 * s, 5 * s}, nil, 9 * s, 2, 1, "answer 0"},
		"first fails late": {[]time.Duration{9 * s, 5 * s}, []error{down, nil}, 13 * s, 2, 0, "answer 1"},
		"second fails":     {[]time.Duration{30 * s, 1 * s}, []error{nil, down}, 30 * s, 2, 0, "answer 0"},
		"both fail":        {[]time.Duration{30 * s, 1 * s}, []error{down, down}, 30 * s, 2, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &runs{waits: tc.waits, errs: tc.errs}
				start := time.Now()
				resp, err := llm.Collect(t.Context(), wrap.Hedge(m, 8*s, nil), hello)
				if took := time.Since(start); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
				if tc.text == "" && !errors.Is(err, down) || tc.text != "" && err != nil || resp.Text != tc.text {
					t.Errorf("answer %q, error %v; want %q", resp.Text, err, tc.text)
				}
				if m.asked != tc.asked || m.cancelled != tc.cancelled {
					t.Errorf("asked %d times and cancelled %d, want %d and %d", m.asked, m.cancelled, tc.asked, tc.cancelled)
				}
				if warned := strings.Contains(strings.Join(resp.Warnings, "\n"), "asked twice"); err == nil && warned != (tc.asked == 2) {
					t.Errorf("warnings %q after %d requests", resp.Warnings, tc.asked)
				}
			})
		})
	}
}

func TestHedge_endsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails where a goroutine is left
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		m := &runs{waits: []time.Duration{time.Hour, time.Hour}}
		_, err := llm.Collect(ctx, wrap.Hedge(m, 8*time.Second, nil), hello)
		if !errors.Is(err, context.DeadlineExceeded) || m.cancelled != 2 {
			t.Errorf("error %v, %d cancelled; want the deadline and both", err, m.cancelled)
		}
		for range wrap.Hedge(&runs{waits: []time.Duration{time.Minute, 0}}, time.Second, nil).Generate(t.Context(), hello) {
			break
		}
	})
}

func TestHedge_keepsToTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var budget wrap.Budget
		asked := 0
		for range 100 {
			m := &runs{waits: []time.Duration{time.Minute, time.Minute}}
			if _, err := llm.Collect(t.Context(), wrap.Retry(wrap.Hedge(m, time.Second, &budget), wrap.RetryOptions{Budget: &budget}), hello); err != nil {
				t.Fatal(err)
			}
			asked += m.asked
		}
		if asked < 110 || asked > 120 {
			t.Errorf("%d requests for 100 questions to a slow service, want 110 to 120", asked)
		}
	})
}

func TestHedge_isOffByDefault(t *testing.T) {
	m := &llmtest.Script{}
	if got := wrap.Hedge(m, 0, nil); got != llm.Model(m) {
		t.Errorf("%T, want the model itself", got)
	}
}
