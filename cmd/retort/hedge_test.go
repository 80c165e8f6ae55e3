package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/models"
)

// TestRemotes_hedge asks a model twice where its first event is late, and not where
// a question may cost no more than one request.
func TestRemotes_hedge(t *testing.T) {
	for name, tc := range map[string]struct {
		after   float64
		payOnce bool
		asked   int
	}{
		"off by default": {0, false, 1},
		"on":             {8, false, 2},
		"pay once":       {8, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &llmtest.Script{Step: func(ctx context.Context) error {
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(10 * time.Second):
						return nil
					}
				}}
				s := remotes{payOnce: tc.payOnce}
				wrapped := s.wrapped(m, models.Offer{}, models.Provider{Name: "lab", HedgeAfter: tc.after})
				if _, err := llm.Collect(t.Context(), wrapped, llm.Request{Messages: []llm.Message{llm.User("hi")}}); err != nil {
					t.Fatal(err)
				}
				if m.Calls() != tc.asked {
					t.Errorf("asked %d times, want %d", m.Calls(), tc.asked)
				}
			})
		})
	}
}
