package ollama

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ollama/ollama/api"
)

const (
	// longWait is a wait that a person notices.
	longWait = 250 * time.Millisecond

	// keptFor is how long a server keeps a model in memory unless told otherwise:
	// one that it loads again sooner was pushed out.
	keptFor = 5 * time.Minute
)

// evidence is what a client's answers show of the server's limits, which the
// server itself does not tell.
type evidence struct {
	answered map[string]time.Time     // when each model answered last
	loaded   map[string]time.Time     // when each model was loaded last while we waited
	reloads  map[string]time.Duration // spent on loading models again, by model
	flying   map[string]int           // requests under way, by model
	most     int                      // of one model's requests at a time
	longest  time.Duration            // that a request waited for others to its model
	waited   int                      // how many requests did
	answers  int
}

// begin counts a request to the model name as under way until the function that
// it returns is called.
func (c *Client) begin(name string) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &c.evidence
	if e.flying == nil {
		e.flying = map[string]int{}
	}
	e.flying[name]++
	e.most = max(e.most, e.flying[name])
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.evidence.flying[name]--
	}
}

// learn keeps what the server measured of one answer.
func (c *Client) learn(name string, took api.Metrics, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &c.evidence
	if e.answered == nil {
		e.answered, e.loaded, e.reloads = map[string]time.Time{}, map[string]time.Time{}, map[string]time.Duration{}
	}
	e.answers++
	if wait := queued(took); wait > longWait && wait > took.TotalDuration/10 {
		e.waited++
		e.longest = max(e.longest, wait)
	}
	began := now.Add(-took.TotalDuration)
	last, known := e.answered[name]
	if took.LoadDuration > longWait {
		e.loaded[name] = began.Add(took.LoadDuration)
		if known && max(began.Sub(last), 0) < c.kept() {
			e.reloads[name] += took.LoadDuration
		}
	}
	e.answered[name] = now
}

// queued is the part of an answer in which its model neither loaded nor read nor
// wrote: it waited until another request to the same model had ended.
func queued(took api.Metrics) time.Duration {
	return took.TotalDuration - took.LoadDuration - took.PromptEvalDuration - took.EvalDuration
}

// kept is how long the server keeps a model in memory after a request.
func (c *Client) kept() time.Duration {
	if c.keepAlive != nil {
		return c.keepAlive.Duration
	}
	return keptFor
}

// Advice says, one sentence each, what limits of the server have slowed down the
// requests of this client so far, and which of its settings lifts them. It
// rests on the server's own time measurements of whole answers and on what it
// holds in memory now; without evidence it is empty.
func (c *Client) Advice(ctx context.Context) []string {
	c.mu.Lock()
	several := len(c.evidence.answered) > 1
	c.mu.Unlock()
	holds := &api.ProcessResponse{}
	if several {
		if now, err := c.api.ListRunning(ctx); err == nil { // a help, not a need
			holds = now
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &c.evidence
	var out []string
	if e.waited > 0 && e.most > 1 {
		out = append(out, fmt.Sprintf("Ollama let %d of %d requests wait for others to the same model, the longest %s: "+
			"start it with OLLAMA_NUM_PARALLEL=%d to answer them together",
			e.waited, e.answers, e.longest.Round(100*time.Millisecond), e.most))
	}
	remedy := fmt.Sprintf("start it with OLLAMA_MAX_LOADED_MODELS=%d or more (memory permitting); "+
		"models that share their weights and differ in their adapter always push each other out", max(len(e.answered), 2))
	if len(e.reloads) > 0 {
		var spent time.Duration
		for _, d := range e.reloads {
			spent += d
		}
		out = append(out, fmt.Sprintf("Ollama loaded %s again, %s in all, though it was in use just before: %s",
			strings.Join(slices.Sorted(maps.Keys(e.reloads)), ", "), spent.Round(100*time.Millisecond), remedy))
	} else if gone := e.pushedOut(holds.Models, time.Now().Add(-c.kept())); len(gone) > 0 {
		out = append(out, fmt.Sprintf("Ollama holds %s no longer, since it loaded another model for this: %s", strings.Join(gone, ", "), remedy))
	}
	return out
}

// pushedOut names the models that have answered after since, and that the server
// gave up for another one of ours that it holds now.
func (e *evidence) pushedOut(holds []api.ProcessModelResponse, since time.Time) (gone []string) {
	held := map[string]bool{}
	for _, m := range holds {
		held[m.Name] = true
	}
	var loaded time.Time // the last one of ours that is held
	for name, when := range e.loaded {
		if held[tagged(name)] && when.After(loaded) {
			loaded = when
		}
	}
	for name, when := range e.answered {
		if !held[tagged(name)] && when.After(since) && loaded.After(when) {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	return gone
}

// tagged is a name as the server writes it.
func tagged(name string) string {
	if strings.LastIndex(name, ":") > strings.LastIndex(name, "/") {
		return name
	}
	return name + ":latest"
}
