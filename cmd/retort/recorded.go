package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"

	"retort/llm"
)

// recording keeps what models said to which request, so that several ways of
// combining the same answers can be compared, and a long measurement can be
// taken up where it was broken off. It is a file of JSON lines, only ever added
// to; a last line that was cut short is dropped.
type recording struct {
	mu   sync.Mutex
	file *os.File // nil: kept in memory alone
	said map[string]utterance
}

// utterance is what one model said to one request.
type utterance struct {
	Key       string         `json:"key"`
	Model     string         `json:"model"`
	Scores    []llm.Score    `json:"scores,omitempty"`
	Responses []llm.Response `json:"responses,omitempty"`
}

// openRecording reads the file at path, which need not exist; "" keeps the
// recording in memory.
func openRecording(path string) (*recording, error) {
	rec := &recording{said: map[string]utterance{}}
	if path == "" {
		return rec, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	end, err := rec.read(f)
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read recording %q: %w", path, err)
	}
	rec.file = f
	return rec, nil
}

// read takes in all whole lines and returns where they end.
func (rec *recording) read(f io.Reader) (end int64, err error) {
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return end, nil // the last line may be cut short
		}
		if err != nil {
			return 0, err
		}
		var u utterance
		if err := json.Unmarshal(line, &u); err != nil || u.Key == "" {
			return 0, fmt.Errorf("line %d: not a recorded answer", n)
		}
		rec.said[u.Key] = u
		end += int64(len(line))
	}
}

func (rec *recording) Close() error {
	if rec.file == nil {
		return nil
	}
	return errors.Join(rec.file.Sync(), rec.file.Close())
}

// once returns what was said to the request that key names, and asks only if
// nothing was.
func (rec *recording) once(key string, ask func() (utterance, error)) (utterance, error) {
	rec.mu.Lock()
	u, known := rec.said[key]
	rec.mu.Unlock()
	if known {
		return u, nil
	}
	u, err := ask()
	if err != nil {
		return u, err
	}
	u.Key = key
	line, err := json.Marshal(u)
	if err != nil {
		return u, err
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.said[key] = u
	if rec.file != nil {
		_, err = rec.file.Write(append(line, '\n'))
	}
	return u, err
}

// recorded is a model whose answers are kept. It gives up the model's rarer
// abilities but for scoring, for which there is recordedScorer.
type recorded struct {
	model llm.Model
	rec   *recording
}

type recordedScorer struct {
	recorded
	scorer llm.Scorer
}

// model returns m with its answers kept in rec.
func (rec *recording) model(m llm.Model) llm.Model {
	r := recorded{m, rec}
	if s, ok := llm.As[llm.Scorer](m); ok {
		return &recordedScorer{r, s}
	}
	return &r
}

func (r *recorded) ID() string { return r.model.ID() }

// GenerateN implements llm.BatchModel.
func (r *recorded) GenerateN(ctx context.Context, req llm.Request, n int) iter.Seq2[llm.Response, error] {
	return func(yield func(llm.Response, error) bool) {
		u, err := r.rec.once(requestKey(r.ID(), req, n), func() (utterance, error) {
			responses, err := llm.CollectN(ctx, r.model, req, n)
			return utterance{Model: r.ID(), Responses: responses}, err
		})
		if err != nil {
			yield(llm.Response{}, err)
			return
		}
		for _, resp := range u.Responses {
			if !yield(resp, nil) {
				return
			}
		}
	}
}

// Generate implements llm.Model: the one recorded answer in one piece.
func (r *recorded) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		for resp, err := range r.GenerateN(ctx, req, 1) {
			if err != nil {
				yield(nil, err)
				return
			}
			if yield(llm.Text{Delta: resp.Text}, nil) {
				yield(llm.Done{FinishReason: resp.FinishReason, Usage: resp.Usage, Timing: resp.Timing, Warnings: resp.Warnings}, nil)
			}
		}
	}
}

// Score implements llm.Scorer. Sampling has no part in it, nor in its key.
func (r *recordedScorer) Score(ctx context.Context, req llm.Request, continuations []string) ([]llm.Score, error) {
	req.Sampling = llm.Sampling{}
	u, err := r.rec.once(requestKey(r.ID(), req, continuations), func() (utterance, error) {
		scores, err := r.scorer.Score(ctx, req, continuations)
		return utterance{Model: r.ID(), Scores: scores}, err
	})
	return u.Scores, err
}

// requestKey names a request to a model.
func requestKey(id string, req llm.Request, what any) string {
	text, err := json.Marshal([]any{id, req, what})
	if err != nil {
		return fmt.Sprintf("%s %+v %v", id, req, what) // a request that no model takes either
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))[:32]
}
