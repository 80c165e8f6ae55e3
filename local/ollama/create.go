package ollama

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"

	"github.com/ollama/ollama/api"

	"retort/llm"
)

// CreateOptions says what a new model is made of.
type CreateOptions struct {
	GGUF     string         // path of the weights
	Adapter  string         // path of a LoRA adapter for them, as GGUF; empty for none
	Template string         // chat template in Ollama's own syntax; empty lets the server guess one
	System   string         // default system message; empty for none
	Stop     []string       // texts that end every answer
	Progress func(Progress) // told how far it is; may be nil, is never called by two goroutines at once
}

// Progress is how far a Create is.
type Progress struct {
	Stage       string // "hash", "upload", or what the server says it is doing
	Path        string // the file concerned, if any
	Done, Total int64  // bytes, if a file is concerned
}

// Create makes a model called name on the server, in place of one that had the
// name. A file that the server has already is not sent again.
func (c *Client) Create(ctx context.Context, name string, opts CreateOptions) error {
	if err := c.create(ctx, name, opts); err != nil {
		return fmt.Errorf("create model %q: %w", name, err)
	}
	return nil
}

func (c *Client) create(ctx context.Context, name string, opts CreateOptions) error {
	req := &api.CreateRequest{Model: name, Template: opts.Template, System: opts.System}
	if len(opts.Stop) > 0 {
		req.Parameters = map[string]any{"stop": opts.Stop}
	}
	report := opts.Progress
	if report == nil {
		report = func(Progress) {}
	}
	weights, err := c.send(ctx, opts.GGUF, report)
	if err != nil {
		return err
	}
	req.Files = map[string]string{"model.gguf": weights}
	if opts.Adapter != "" {
		adapter, err := c.send(ctx, opts.Adapter, report)
		if err != nil {
			return err
		}
		req.Adapters = map[string]string{"adapter.gguf": adapter}
	}
	return c.assemble(ctx, req, report)
}

// assemble lets the server make the model. As with a chat, the end of the body
// proves nothing: the server closes with the status "success".
func (c *Client) assemble(ctx context.Context, req *api.CreateRequest, report func(Progress)) error {
	var made bool
	err := c.api.Create(ctx, req, func(p api.ProgressResponse) error {
		made = p.Status == "success"
		report(Progress{Stage: p.Status})
		return nil
	})
	switch {
	case err != nil || ctx.Err() != nil:
		return c.cause(ctx, err)
	case !made:
		return errors.New("the server stopped before it was done")
	}
	return nil
}

// send makes sure that the server has the file at path, and returns its digest.
func (c *Client) send(ctx context.Context, path string, report func(Progress)) (digest string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	meter := &meter{ctx: ctx, r: f, report: report, at: Progress{Stage: "hash", Path: path, Total: info.Size()}}
	if _, err := io.Copy(hash, meter); err != nil {
		return "", err
	}
	digest = "sha256:" + hex.EncodeToString(hash.Sum(nil))
	if has, err := c.hasBlob(ctx, digest); err != nil || has {
		return digest, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	return digest, c.upload(ctx, digest, f, Progress{Stage: "upload", Path: path, Total: info.Size()}, report)
}

func (c *Client) upload(ctx context.Context, digest string, f *os.File, at Progress, report func(Progress)) error {
	meter := &meter{ctx: ctx, r: f, report: report, at: at}
	defer meter.stop() // the transport may go on reading after an early answer
	if err := c.api.CreateBlob(ctx, digest, meter); err != nil {
		return fmt.Errorf("upload %q: %w", at.Path, c.cause(ctx, err))
	}
	return nil
}

// hasBlob asks for a file by its digest, which api.Client has no call for.
func (c *Client) hasBlob(ctx context.Context, digest string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, c.base.JoinPath("api/blobs", digest).String(), nil)
	if err != nil {
		return false, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return false, c.cause(ctx, err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK, nil
}

// meter reads a file, reports how far it is, and stops with its context.
type meter struct {
	ctx    context.Context
	r      io.Reader
	report func(Progress)

	mu sync.Mutex
	at Progress
}

func (m *meter) Read(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.report == nil {
		return 0, llm.ErrIncomplete
	}
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	m.at.Done += int64(n)
	m.report(m.at)
	return n, err
}

// stop makes sure that nothing is read or reported any more.
func (m *meter) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report = nil
}
