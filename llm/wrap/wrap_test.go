package wrap_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/llm/wrap"
)

var hello = llm.Request{Messages: []llm.Message{llm.User("hello")}}

// failure is an error that another try may mend, or not.
type failure struct {
	after time.Duration
	mends bool
}

func (e failure) Error() string                    { return fmt.Sprintf("failure %v", e.after) }
func (e failure) Retryable() (time.Duration, bool) { return e.after, e.mends }

// flaky is a script that fails with errs in turn before its first event, and notes
// when it was asked.
func flaky(errs ...error) (*llmtest.Script, *[]time.Duration) {
	var (
		mu    sync.Mutex
		asked []time.Duration
		start = time.Now()
	)
	s := &llmtest.Script{Answers: []string{"hi"}}
	s.Step = func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if n := s.Calls(); n > len(asked) {
			asked = append(asked, time.Since(start))
			if n <= len(errs) {
				return errs[n-1]
			}
		}
		return nil
	}
	return s, &asked
}

func TestWrappers_passTheExam(t *testing.T) {
	llmtest.TestModel(t, func(*testing.T) llm.Model {
		m := wrap.Timeout(&llmtest.Script{}, wrap.Timeouts{First: time.Minute, Between: time.Minute, Total: time.Minute})
		m = wrap.Breaker(wrap.Limit(m, wrap.NewLimiter(6000, 0)), wrap.BreakerOptions{})
		m = wrap.Hedge(m, time.Microsecond, nil)
		return wrap.Price(wrap.Retry(m, wrap.RetryOptions{}), &wrap.Rates{})
	}, llmtest.Options{})
}

func TestWrappers_showWhatIsWithin(t *testing.T) {
	inner := &llmtest.Script{}
	m := wrap.Price(wrap.Retry(wrap.Breaker(wrap.Limit(wrap.Timeout(inner, wrap.Timeouts{}), wrap.NewLimiter(0, 0)), wrap.BreakerOptions{}), wrap.RetryOptions{}), nil)
	if got, ok := llm.As[*llmtest.Script](m); !ok || got != inner || m.ID() != inner.ID() {
		t.Errorf("As = %v, %t", got, ok)
	}
}

func TestRetry(t *testing.T) {
	down := failure{0, true}
	for name, tc := range map[string]struct {
		errs  []error
		opts  wrap.RetryOptions
		calls int
		ok    bool
	}{
		"first try":            {nil, wrap.RetryOptions{}, 1, true},
		"third try":            {[]error{down, down}, wrap.RetryOptions{}, 3, true},
		"four in all":          {[]error{down, down, down, down}, wrap.RetryOptions{}, 4, false},
		"no use":               {[]error{failure{0, false}}, wrap.RetryOptions{}, 1, false},
		"says nothing of it":   {[]error{errors.New("x")}, wrap.RetryOptions{}, 1, false},
		"wrapped":              {[]error{fmt.Errorf("generate: %w", down)}, wrap.RetryOptions{}, 2, true},
		"asks for too long":    {[]error{failure{time.Hour, true}}, wrap.RetryOptions{}, 1, false},
		"asks for what we may": {[]error{failure{20 * time.Second, true}}, wrap.RetryOptions{}, 2, true},
		"no time left":         {[]error{failure{20 * time.Second, true}}, wrap.RetryOptions{Deadline: 10 * time.Second}, 1, false},
		"may not pay twice":    {[]error{down}, wrap.RetryOptions{If: func(error) bool { return false }}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, asked := flaky(tc.errs...)
				resp, err := llm.Collect(t.Context(), wrap.Retry(s, tc.opts), hello)
				if s.Calls() != tc.calls || (err == nil) != tc.ok || tc.ok && resp.Text != "hi" {
					t.Errorf("%d calls, answer %q, error %v; want %d", s.Calls(), resp.Text, err, tc.calls)
				}
				if err != nil && !errors.Is(err, tc.errs[len(tc.errs)-1]) {
					t.Errorf("error %v is another", err)
				}
				var f failure
				if len(*asked) > 1 && errors.As(tc.errs[0], &f) && (*asked)[1] < f.after {
					t.Errorf("asked again after %v, before the %v that the service wants", (*asked)[1], f.after)
				}
			})
		})
	}
}

// TestRetry_spreadsTheWaits holds that waits are random from 0 to a bound that
// doubles.
func TestRetry_spreadsTheWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var firsts []time.Duration
		for range 200 {
			s, asked := flaky(failure{0, true}, failure{0, true}, failure{0, true})
			if _, err := llm.Collect(t.Context(), wrap.Retry(s, wrap.RetryOptions{Base: time.Second}), hello); err != nil {
				t.Fatal(err)
			}
			for i, most := range []time.Duration{1, 2, 4} {
				if wait := (*asked)[i+1] - (*asked)[i]; wait > most*time.Second {
					t.Fatalf("wait %d is %v, want at most %d s", i, wait, most)
				}
			}
			firsts = append(firsts, (*asked)[1])
		}
		if low, high := slices.Min(firsts), slices.Max(firsts); low > 100*time.Millisecond || high < 900*time.Millisecond {
			t.Errorf("first waits from %v to %v, want 0 to 1 s", low, high)
		}
	})
}

func TestRetry_neverAfterTheFirstEvent(t *testing.T) {
	s := &llmtest.Script{Answers: []string{"a b"}, Err: failure{0, true}}
	var text strings.Builder
	var last error
	for ev, err := range wrap.Retry(s, wrap.RetryOptions{}).Generate(t.Context(), hello) {
		if d, ok := ev.(llm.Text); ok {
			text.WriteString(d.Delta)
		}
		last = err
	}
	if s.Calls() != 1 || text.String() != "a b" || !errors.Is(last, s.Err) {
		t.Errorf("%d calls, text %q, error %v; want the one answer and its error", s.Calls(), text.String(), last)
	}
}

func TestRetry_stopsWhenCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s, _ := flaky(failure{20 * time.Second, true})
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := llm.Collect(ctx, wrap.Retry(s, wrap.RetryOptions{}), hello)
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("error %v after %v, want to end with the cancellation", err, time.Since(start))
		}
	})
}

func TestRetry_budgetIsOfTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var budget wrap.Budget
		calls := 0
		for range 100 {
			s, _ := flaky(failure{0, true}, failure{0, true}, failure{0, true}, failure{0, true})
			_, _ = llm.Collect(t.Context(), wrap.Retry(s, wrap.RetryOptions{Budget: &budget}), hello)
			calls += s.Calls()
		}
		if calls < 110 || calls > 120 {
			t.Errorf("%d calls for 100 requests to a service that is down, want 110 to 120", calls)
		}
	})
}

func TestLimit_requests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := wrap.NewLimiter(60, 0) // one a second, ten at once
		start := time.Now()
		for i := range 25 {
			if _, err := llm.Collect(t.Context(), wrap.Limit(&llmtest.Script{Name: fmt.Sprint(i)}, l), hello); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start).Round(time.Second); d != 15*time.Second {
			t.Errorf("25 requests took %v, want 15 s", d)
		}
	})
}

func TestLimit_tokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := wrap.Limit(&llmtest.Script{Answers: []string{strings.Repeat("w ", 600)}}, wrap.NewLimiter(0, 600))
		start := time.Now()
		for range 3 { // each answer is a minute's worth
			if _, err := llm.Collect(t.Context(), m, hello); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d < 55*time.Second || d > 125*time.Second {
			t.Errorf("three answers took %v, want the second and third to wait", d)
		}
	})
}

func TestLimit_givesUpAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := wrap.Limit(&llmtest.Script{}, wrap.NewLimiter(1, 0))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var err error
		for range 2 {
			_, err = llm.Collect(ctx, m, hello)
		}
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			t.Errorf("error %v, want the deadline, foreseen", err)
		}
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := failure{0, true}
		s, _ := flaky(down, down, down, down, down, down)
		m := wrap.Breaker(s, wrap.BreakerOptions{Failures: 5, Pause: 30 * time.Second})
		ask := func() error { _, err := llm.Collect(t.Context(), m, hello); return err }
		for range 5 {
			if err := ask(); !errors.Is(err, down) {
				t.Fatalf("error %v, want the model's own", err)
			}
		}
		var open *wrap.OpenError
		if err := ask(); !errors.As(err, &open) || open.Wait != 30*time.Second || s.Calls() != 5 {
			t.Fatalf("error %v after %d calls, want not to be asked", err, s.Calls())
		}
		time.Sleep(31 * time.Second) // the bubble's time
		if err := ask(); !errors.Is(err, down) || s.Calls() != 6 {
			t.Fatalf("error %v, want one trial", err)
		}
		if err := ask(); !errors.As(err, &open) {
			t.Fatalf("error %v, want it closed again after a failed trial", err)
		}
		time.Sleep(31 * time.Second)
		for range 3 {
			if err := ask(); err != nil {
				t.Fatalf("error %v, want it to answer", err)
			}
		}
	})
}

func TestBreaker_whatIsNoFailure(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ask := range map[string]func(llm.Model) error{
		"refusals":      func(m llm.Model) error { _, err := llm.Collect(t.Context(), m, llm.Request{}); return err },
		"cancellations": func(m llm.Model) error { _, err := llm.Collect(cancelled, m, hello); return err },
		"breaking out": func(m llm.Model) error {
			for range m.Generate(t.Context(), hello) {
				break
			}
			return nil
		},
	} {
		m := wrap.Breaker(&llmtest.Script{}, wrap.BreakerOptions{Failures: 2})
		for range 5 {
			_ = ask(m)
		}
		if _, err := llm.Collect(t.Context(), m, hello); err != nil {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestBreaker_countsBrokenAnswers(t *testing.T) {
	s := &llmtest.Script{Err: llm.ErrIncomplete}
	m := wrap.Breaker(s, wrap.BreakerOptions{Failures: 2})
	var err error
	for range 3 {
		_, err = llm.Collect(t.Context(), m, hello)
	}
	var open *wrap.OpenError
	if !errors.As(err, &open) || s.Calls() != 2 || open.Hint() == "" {
		t.Errorf("error %v after %d calls", err, s.Calls())
	}
}

func TestTimeout(t *testing.T) {
	for name, tc := range map[string]struct {
		waits      []time.Duration // before each event; the answer has two and the end
		timeouts   wrap.Timeouts
		phase      string // empty: the answer is whole
		incomplete bool
		retry      bool
	}{
		"in time":     {[]time.Duration{9, 9, 9}, wrap.Timeouts{First: 10, Between: 10, Total: 30}, "", false, false},
		"no bounds":   {[]time.Duration{1000, 1000, 1000}, wrap.Timeouts{}, "", false, false},
		"late start":  {[]time.Duration{11}, wrap.Timeouts{First: 10, Between: 1}, "first event", false, true},
		"stall":       {[]time.Duration{1, 6}, wrap.Timeouts{First: 10, Between: 5}, "next event", true, false},
		"late end":    {[]time.Duration{1, 1, 6}, wrap.Timeouts{First: 10, Between: 5}, "next event", true, false},
		"slow drip":   {[]time.Duration{4, 4, 4}, wrap.Timeouts{First: 5, Between: 5, Total: 10}, "whole answer", true, false},
		"total alone": {[]time.Duration{11}, wrap.Timeouts{Total: 10}, "whole answer", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				event := -1
				s := &llmtest.Script{Answers: []string{"a b"}, Step: func(ctx context.Context) error {
					event++
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(tc.waits[event] * time.Second):
						return nil
					}
				}}
				tm := wrap.Timeouts{First: tc.timeouts.First * time.Second, Between: tc.timeouts.Between * time.Second, Total: tc.timeouts.Total * time.Second}
				_, err := llm.Collect(t.Context(), wrap.Timeout(s, tm), hello)
				var e *wrap.TimeoutError
				if errors.As(err, &e) != (tc.phase != "") || e != nil && e.Phase != tc.phase || errors.Is(err, llm.ErrIncomplete) != tc.incomplete {
					t.Fatalf("error %v, want %q, incomplete %t", err, tc.phase, tc.incomplete)
				}
				if e != nil {
					if _, retry := e.Retryable(); retry != tc.retry || !e.Timeout() {
						t.Errorf("retryable %t, want %t", retry, tc.retry)
					}
				}
			})
		})
	}
}

func TestTimeout_leavesTheCallerHisTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, err := range wrap.Timeout(&llmtest.Script{Answers: []string{"a b"}}, wrap.Timeouts{First: time.Second, Between: time.Second}).Generate(t.Context(), hello) {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestTimeout_ofTheCallerStaysHis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s := &llmtest.Script{Step: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		_, err := llm.Collect(ctx, wrap.Timeout(s, wrap.Timeouts{First: time.Minute}), hello)
		var e *wrap.TimeoutError
		if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &e) {
			t.Errorf("error %v, want the caller's deadline", err)
		}
	})
}

func TestPrice(t *testing.T) {
	rates := wrap.Rates{Input: 0.001, Output: 0.01}
	if got, want := rates.Cost(llm.Usage{InputTokens: 2000, CachedTokens: 1000, OutputTokens: 500}), 0.007; got != want {
		t.Errorf("cost %v, want %v", got, want)
	}
	rates.Cached = 0.0001
	if got, want := rates.Cost(llm.Usage{InputTokens: 2000, CachedTokens: 1000, OutputTokens: 500}), 0.0061; fmt.Sprintf("%.6f", got) != fmt.Sprintf("%.6f", want) {
		t.Errorf("cost %v with a cache, want %v", got, want)
	}
	resp, err := llm.Collect(t.Context(), wrap.Price(&llmtest.Script{Answers: []string{"a b"}}, &rates), hello)
	if err != nil || fmt.Sprintf("%.6f", resp.Usage.CostUSD) != "0.000021" || len(resp.Warnings) != 0 {
		t.Errorf("%+v, error %v; want (1 * 0.001 + 2 * 0.01) / 1000", resp, err)
	}
	resp, err = llm.Collect(t.Context(), wrap.Price(&llmtest.Script{}, nil), hello)
	if err != nil || resp.Usage.CostUSD != 0 || len(resp.Warnings) != 1 {
		t.Errorf("%+v, error %v; want a warning", resp, err)
	}
}

func ExampleRetry() {
	var model llm.Model = &llmtest.Script{Answers: []string{"4"}} // a remote model
	limiter, budget := wrap.NewLimiter(500, 200_000), &wrap.Budget{}
	model = wrap.Limit(wrap.Timeout(model, wrap.Timeouts{First: time.Minute, Between: 30 * time.Second}), limiter)
	model = wrap.Retry(wrap.Breaker(model, wrap.BreakerOptions{}), wrap.RetryOptions{Budget: budget})
	model = wrap.Price(model, &wrap.Rates{Input: 0.00015, Output: 0.0006})
	resp, err := llm.Collect(context.Background(), model, llm.Request{Messages: []llm.Message{llm.User("2+2?")}})
	fmt.Println(resp.Text, err)
	// Output: 4 <nil>
}
