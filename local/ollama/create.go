package ollama

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ollama/ollama/api"

	"retort/llm"
)

// CreateOptions says what a new model is made of.
type CreateOptions struct {
	GGUF     string   // path of the weights
	Adapter  string   // path of a LoRA adapter for them, as GGUF; empty for none
	Template string   // chat template in Ollama's own syntax; empty lets the server guess one
	System   string   // default system message; empty for none
	Stop     []string // texts that end every answer

	// Parameters are defaults of the model in Ollama's own words
	// ("repeat_penalty"): numbers, texts or lists of texts.
	Parameters map[string]any

	Progress func(Progress) // told how far it is; may be nil, is never called by two goroutines at once
}

// Progress is how far a Create or a Pull is.
type Progress struct {
	Stage       string // "hash", "upload", or what the server says it is doing
	Path        string // the file concerned, if any; of a Pull its digest
	Done, Total int64  // bytes, if a file is concerned
}

// Create makes a model called name on the server, in place of one that had the
// name. A file that the server has already is not sent again.
//
// With an adapter the server is made to load the model before the name changes
// hands, since only then it finds out whether it can run it: the error wraps
// ErrAdapter if not, and nothing is left behind.
func (c *Client) Create(ctx context.Context, name string, opts CreateOptions) error {
	if err := c.create(ctx, name, opts); err != nil {
		return fmt.Errorf("create model %q: %w", name, err)
	}
	return nil
}

func (c *Client) create(ctx context.Context, name string, opts CreateOptions) error {
	report := opts.Progress
	if report == nil {
		report = func(Progress) {}
	}
	req, err := c.createRequest(ctx, opts, report)
	if err != nil {
		return err
	}
	if opts.Adapter == "" {
		req.Model = name
		return c.assemble(ctx, req, report)
	}
	req.Model = trialName()
	defer c.dropTrial(ctx, req.Model) // the server may have made it though we heard of an error
	if err := c.assemble(ctx, req, report); err != nil {
		return err
	}
	report(Progress{Stage: "loading the adapter"})
	if err := c.load(ctx, req.Model); err != nil {
		return err
	}
	if err := c.api.Copy(ctx, &api.CopyRequest{Source: req.Model, Destination: name}); err != nil {
		return c.cause(ctx, err)
	}
	return nil
}

// trialName is one that nobody else uses.
func trialName() string { return "retort-trial-" + strings.ToLower(rand.Text()[:12]) + ":latest" }

// trialGoes bounds the wait for a server that is to delete a trial model.
const trialGoes = 10 * time.Second

// dropTrial deletes a trial model, if there is one, also after ctx has ended.
func (c *Client) dropTrial(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), trialGoes)
	defer cancel()
	_ = c.api.Delete(ctx, &api.DeleteRequest{Model: name})
}

// createRequest sends the files that the server lacks.
func (c *Client) createRequest(ctx context.Context, opts CreateOptions, report func(Progress)) (*api.CreateRequest, error) {
	req := &api.CreateRequest{Template: opts.Template, System: opts.System, Parameters: map[string]any{}}
	for name, value := range opts.Parameters {
		req.Parameters[name] = value
	}
	if len(opts.Stop) > 0 {
		req.Parameters["stop"] = opts.Stop
	}
	weights, err := c.send(ctx, opts.GGUF, report)
	if err != nil {
		return nil, err
	}
	req.Files = map[string]string{"model.gguf": weights}
	if opts.Adapter != "" {
		adapter, err := c.send(ctx, opts.Adapter, report)
		if err != nil {
			return nil, err
		}
		req.Adapters = map[string]string{"adapter.gguf": adapter}
	}
	return req, nil
}

// load brings a model into the server's memory.
func (c *Client) load(ctx context.Context, name string) error {
	err := c.api.Generate(ctx, &api.GenerateRequest{Model: name, KeepAlive: c.keepAlive}, func(r api.GenerateResponse) error {
		if r.Done {
			return errEnough
		}
		return nil
	})
	return c.verdict(ctx, err)
}

// assemble lets the server make the model.
func (c *Client) assemble(ctx context.Context, req *api.CreateRequest, report func(Progress)) error {
	return c.untilSuccess(ctx, report, func(take func(api.ProgressResponse) error) error {
		return c.api.Create(ctx, req, take)
	})
}

// untilSuccess follows a long piece of the server's work. As with a chat, the
// end of the body proves nothing: the server closes with the status "success".
func (c *Client) untilSuccess(ctx context.Context, report func(Progress), work func(take func(api.ProgressResponse) error) error) error {
	var made bool
	err := work(func(p api.ProgressResponse) error {
		made = p.Status == "success"
		report(Progress{Stage: oneLine(p.Status), Path: p.Digest, Done: p.Completed, Total: p.Total})
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
