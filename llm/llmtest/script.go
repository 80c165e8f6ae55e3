// Package llmtest has what tests of models need: Script, a Model that says what
// it is told to, and TestModel, the exam that every Model passes.
package llmtest

import (
	"context"
	"iter"
	"strings"
	"sync"
	"sync/atomic"

	"retort/llm"
)

// Script is a Model that answers with given texts, in turn. Its zero value
// answers with the last message of the request. It is safe for concurrent use.
type Script struct {
	Name    string                          // ID; "script" when empty
	Answers []string                        // given in turn, the last one again and again
	Reply   func(llm.Request) string        // used instead of Answers when set
	Err     error                           // yielded instead of Done, after the text
	Cut     bool                            // end without Done and without an error, as a dropped line would
	Step    func(ctx context.Context) error // called before each event; lets a test delay or fail it

	calls atomic.Int64
	mu    sync.Mutex
	seen  []llm.Request
}

// ID implements llm.Model.
func (s *Script) ID() string {
	if s.Name == "" {
		return "script"
	}
	return s.Name
}

// Calls returns how many answers were begun.
func (s *Script) Calls() int { return int(s.calls.Load()) }

// Requests returns the requests seen so far, oldest first.
func (s *Script) Requests() []llm.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]llm.Request(nil), s.seen...)
}

// Generate implements llm.Model: it yields the answer word by word.
func (s *Script) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		if err := req.Validate(); err != nil {
			yield(nil, err)
			return
		}
		if err := (llm.Description{}).Check(req); err != nil {
			yield(nil, err)
			return
		}
		answer := s.next(req)
		text, reason, tokens := truncate(answer, req.Sampling)
		for _, word := range strings.SplitAfter(text, " ") {
			if err := s.step(ctx); err != nil {
				yield(nil, err)
				return
			}
			if word != "" && !yield(llm.Text{Delta: word}, nil) {
				return
			}
		}
		if err := s.step(ctx); err != nil {
			yield(nil, err)
			return
		}
		switch {
		case s.Err != nil:
			yield(nil, s.Err)
		case !s.Cut:
			yield(llm.Done{FinishReason: reason, Usage: llm.Usage{InputTokens: inputTokens(req), OutputTokens: tokens},
				Warnings: warnings(req)}, nil)
		}
	}
}

func (s *Script) next(req llm.Request) string {
	n := int(s.calls.Add(1)) - 1
	s.mu.Lock()
	s.seen = append(s.seen, req)
	s.mu.Unlock()
	switch {
	case s.Reply != nil:
		return s.Reply(req)
	case len(s.Answers) > 0:
		return s.Answers[min(n, len(s.Answers)-1)]
	}
	return req.Messages[len(req.Messages)-1].Content
}

func (s *Script) step(ctx context.Context) error {
	if s.Step != nil {
		if err := s.Step(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// truncate applies stop texts and the output limit, counting a word as a token.
func truncate(answer string, sampling llm.Sampling) (string, llm.FinishReason, int) {
	for _, stop := range sampling.Stop {
		if before, _, found := strings.Cut(answer, stop); found {
			answer = before
		}
	}
	words := strings.SplitAfter(answer, " ")
	if limit := sampling.MaxOutputTokens; limit > 0 && len(words) > limit {
		return strings.Join(words[:limit], ""), llm.FinishLength, limit
	}
	return answer, llm.FinishStop, len(words)
}

func inputTokens(req llm.Request) (n int) {
	for _, m := range req.Messages {
		n += len(strings.Fields(m.Content))
	}
	return n
}

func warnings(req llm.Request) []string {
	if req.Logprobs > 0 {
		return []string{"logprobs: a script has none"}
	}
	return nil
}
