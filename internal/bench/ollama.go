package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Ollama is a running Ollama server as a peer.
type Ollama struct {
	URL     string // base URL
	Model   string // set by Install
	Threads int
	Context int // tokens that one conversation may hold
}

// Version returns the server's version.
func (o *Ollama) Version(ctx context.Context) (string, error) {
	var v struct{ Version string }
	err := exchange(ctx, http.MethodGet, o.URL+"/api/version", nil, &v)
	return v.Version, err
}

// Install gives the server the GGUF file at path, under a name made of its
// digest, so that the peer runs the very same bytes. A file that it has already
// is not sent again.
func (o *Ollama) Install(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	o.Model = "retort-bench-" + digest[:12]
	blob := o.URL + "/api/blobs/sha256:" + digest
	if err := exchange(ctx, http.MethodHead, blob, nil, nil); err != nil {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := exchange(ctx, http.MethodPost, blob, f, nil); err != nil {
			return fmt.Errorf("give the model to ollama: %w", err)
		}
	}
	body, err := json.Marshal(map[string]any{"model": o.Model, "stream": false,
		"files": map[string]string{"model.gguf": "sha256:" + digest}})
	if err != nil {
		return err
	}
	var answer struct{ Status, Error string }
	if err := exchange(ctx, http.MethodPost, o.URL+"/api/create", bytes.NewReader(body), &answer); err != nil {
		return fmt.Errorf("create the model in ollama: %w", err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("create the model in ollama: %s%s", answer.Status, answer.Error)
	}
	return nil
}

// Generate has the server answer a once, as a stream.
func (o *Ollama) Generate(ctx context.Context, a Ask) (Sample, error) {
	body, err := json.Marshal(map[string]any{"model": o.Model, "prompt": a.Prompt, "raw": true, "stream": true,
		"options": map[string]any{"num_predict": a.Output, "temperature": a.Temperature, "top_k": a.TopK, "top_p": a.TopP,
			"min_p": 0, "repeat_penalty": 1, "seed": a.Seed, "num_thread": o.Threads, "num_ctx": o.Context}})
	if err != nil {
		return Sample{}, err
	}
	began := time.Now()
	resp, err := send(ctx, http.MethodPost, o.URL+"/api/generate", bytes.NewReader(body))
	if err != nil {
		return Sample{}, err
	}
	defer resp.Body.Close()
	var s Sample
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20) // the last line holds the context
	for lines.Scan() {
		var piece struct {
			Response        string
			Done            bool
			Error           string
			PromptEvalCount int `json:"prompt_eval_count"`
			EvalCount       int `json:"eval_count"`
		}
		if err := json.Unmarshal(lines.Bytes(), &piece); err != nil {
			return s, fmt.Errorf("ollama: %w", err)
		}
		if piece.Error != "" {
			return s, fmt.Errorf("ollama: %s", piece.Error)
		}
		if s.First == 0 && piece.Response != "" {
			s.First = time.Since(began)
		}
		if piece.Done {
			s.Total, s.Input, s.Output = time.Since(began), piece.PromptEvalCount, piece.EvalCount
			return s, nil
		}
	}
	return s, errors.Join(errors.New("ollama: the stream ended before the answer"), lines.Err())
}

// GenerateN asks a.Answers times at once: the server has no call for it.
func (o *Ollama) GenerateN(ctx context.Context, a Ask) (Sample, error) {
	samples, errs := make([]Sample, a.Answers), make([]error, a.Answers)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range a.Answers {
		wg.Go(func() {
			one := a
			one.Seed += int64(i)
			samples[i], errs[i] = o.Generate(ctx, one)
		})
	}
	wg.Wait()
	out := Sample{Total: time.Since(began)}
	for _, s := range samples {
		out.Input, out.Output = s.Input, out.Output+s.Output
	}
	return out, errors.Join(errs...)
}

// exchange sends body and reads the answer's JSON into into, if that is not nil.
func exchange(ctx context.Context, method, url string, body io.Reader, into any) error {
	resp, err := send(ctx, method, url, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// send returns the answer to a request that went well; the caller closes its
// body.
func send(ctx context.Context, method, url string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
	return nil, fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, strings.TrimSpace(string(text)))
}
