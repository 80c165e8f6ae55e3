//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"retort/llm"
)

// till is a provider that charges for every request that reaches it, whether
// somebody waits for the answer or not.
type till struct {
	mu       sync.Mutex
	rnd      *rand.Rand
	charged  float64
	asked    map[string]int // by question
	requests int
	reached  chan int // the number of each request, as far as somebody listens
}

// Prices of gpt-4o in the catalogue, dollars for a token.
const (
	tillInput  = 0.0025 / 1000
	tillOutput = 0.01 / 1000
	tillTokens = 64 // the most that an answer may have
)

func (s *till) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Messages []llm.Message `json:"messages"`
	}
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &req); err != nil || len(req.Messages) == 0 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	question := req.Messages[len(req.Messages)-1].Content
	s.mu.Lock()
	in, out := len(question)/3+8, 1+s.rnd.IntN(tillTokens)
	s.charged += float64(in)*tillInput + float64(out)*tillOutput
	s.asked[question]++
	s.requests++
	n, pause := s.requests, time.Duration(s.rnd.IntN(4000))*time.Microsecond
	s.mu.Unlock()
	select {
	case s.reached <- n:
	default:
	}
	time.Sleep(pause) // a service's own time: answers come in another order than questions
	finish := "stop"
	if strings.HasSuffix(question, "5") { // these are not kept
		finish = "length"
	}
	answer := "answer to " + question
	if bytes.Contains(body, []byte(`"json_schema"`)) {
		n := tillSeed.FindStringSubmatch(question)[1]
		answer = fmt.Sprintf(`{"questions": ["case %[1]s alpha", "item %[1]s beta"]}`, n)
	}
	content, _ := json.Marshal(answer) // a string
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, `data: {"choices":[{"index":0,"delta":{"content":%s}}]}`+"\n\n"+`data: {"choices":[{"index":0,"delta":{},"finish_reason":%q}]}`+"\n\n"+
		`data: {"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`+"\n\ndata: [DONE]\n\n", content, finish, in, out)
}

// tillSeed finds the number of the question that is to be varied.
var tillSeed = regexp.MustCompile(`question number (\d+)`)

func (s *till) total() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.charged
}

// counts are how often each question was asked so far.
func (s *till) counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for q, n := range s.asked {
		out[q] = n
	}
	return out
}
