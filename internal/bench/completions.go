package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// Completions is a server of the OpenAI completions format as a peer, such as
// llama-server, whose further parameters make it do the same work: it goes on
// past end marks and samples by the same chain. A server that does not know them
// may end an answer early; its row fails then.
type Completions struct {
	URL   string // base URL, without /v1
	Model string // set by Look; the first that the server offers
}

// Look asks the server what it serves. It returns an error if the server says
// that it runs another file than the one at path, and what it calls itself.
func (c *Completions) Look(ctx context.Context, path string) (string, error) {
	var list struct{ Data []struct{ ID string } }
	if err := exchange(ctx, http.MethodGet, c.URL+"/v1/models", nil, &list); err != nil {
		return "", err
	}
	if len(list.Data) == 0 {
		return "", errors.New("it offers no model")
	}
	c.Model = list.Data[0].ID
	var props struct {
		ModelPath string `json:"model_path"`
		BuildInfo string `json:"build_info"`
	}
	if err := exchange(ctx, http.MethodGet, c.URL+"/props", nil, &props); err != nil || props.ModelPath == "" {
		return "unknown; not shown to run the same file", nil
	}
	same, err := sameFile(props.ModelPath, path)
	if err != nil {
		return "", err
	}
	if !same {
		return "", fmt.Errorf("it runs %q, not %q", props.ModelPath, path)
	}
	return "llama-server " + props.BuildInfo, nil
}

func sameFile(a, b string) (bool, error) {
	ia, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	ib, err := os.Stat(b)
	return err == nil && os.SameFile(ia, ib), err
}

// Generate has the server give a.Answers answers in one streamed request.
func (c *Completions) Generate(ctx context.Context, a Ask) (Sample, error) {
	n := max(1, a.Answers)
	body, err := json.Marshal(map[string]any{"model": c.Model, "prompt": a.Prompt, "max_tokens": a.Output, "n": n,
		"temperature": a.Temperature, "top_k": a.TopK, "top_p": a.TopP, "min_p": 0, "seed": a.Seed,
		"samplers": []string{"top_k", "top_p", "temperature"}, "ignore_eos": true,
		"stream": true, "stream_options": map[string]bool{"include_usage": true}})
	if err != nil {
		return Sample{}, err
	}
	began := time.Now()
	resp, err := send(ctx, http.MethodPost, c.URL+"/v1/completions", bytes.NewReader(body))
	if err != nil {
		return Sample{}, err
	}
	defer resp.Body.Close()
	r := reading{began: began, limit: a.Output, open: n}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			return r.end(n)
		}
		if err := r.chunk([]byte(data)); err != nil {
			return r.Sample, err
		}
	}
	return r.Sample, errors.Join(errors.New("completions: the stream ended before the answer"), lines.Err())
}

// reading is a stream of completions as far as it was read.
type reading struct {
	Sample
	began time.Time
	limit int
	open  int // answers that have not ended
	usage int // output tokens by the server's count; servers count one answer or all
}

func (r *reading) chunk(data []byte) error {
	var piece struct {
		Choices []struct {
			Text         string
			FinishReason string `json:"finish_reason"`
		}
		Usage *struct {
			Input  int `json:"prompt_tokens"`
			Output int `json:"completion_tokens"`
		}
		Error *struct{ Message string }
	}
	if err := json.Unmarshal(data, &piece); err != nil {
		return fmt.Errorf("completions: %w", err)
	}
	if piece.Error != nil {
		return fmt.Errorf("completions: %s", piece.Error.Message)
	}
	for _, choice := range piece.Choices {
		if r.First == 0 && choice.Text != "" {
			r.First = time.Since(r.began)
		}
		switch choice.FinishReason {
		case "":
			continue
		case "length": // by the format: the limit was reached
			r.Output += r.limit
		}
		r.open--
		r.Total = time.Since(r.began)
	}
	if piece.Usage != nil {
		r.Input, r.usage = piece.Usage.Input, piece.Usage.Output
	}
	return nil
}

// end returns what was read of n answers. Of one answer the server's own count
// of tokens is taken.
func (r *reading) end(n int) (Sample, error) {
	if r.open > 0 {
		return r.Sample, fmt.Errorf("completions: %d of %d answers have no end", r.open, n)
	}
	if n == 1 && r.usage > 0 {
		r.Output = r.usage
	}
	return r.Sample, nil
}
