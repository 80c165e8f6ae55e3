// Package ollama asks the models of a running Ollama server, and gives it models
// of ours.
//
// Call New first. Client.Open and Client.Model give a llm.Model; Client.List
// names what the server has; Client.Create makes a model of it from a GGUF file,
// Client.Pull fetches one; Client.Advice says what made requests queue up.
//
// Everything stays on this machine unless Options says otherwise: a server
// elsewhere, a model that Ollama forwards to its cloud and a pull are refused.
package ollama

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/ollama/ollama/api"
)

// DefaultURL is where an Ollama server listens unless told otherwise.
const DefaultURL = "http://127.0.0.1:11434"

// Options says how to reach a server and what it may be used for.
type Options struct {
	HTTPClient  *http.Client // nil means one without a time limit
	AllowRemote bool         // permit a server on another machine
	AllowCloud  bool         // permit models that the server forwards to another machine
	AllowPull   bool         // permit Pull, which makes the server fetch from another machine

	// KeepAlive is how long the server keeps a model in memory after a request
	// of this client; 0 unloads it at once, nil leaves it to the server.
	KeepAlive *time.Duration
}

// Client talks to one Ollama server. It is safe for concurrent use.
type Client struct {
	api        *api.Client
	http       *http.Client
	base       *url.URL
	local      bool // the server is on this machine
	allowCloud bool
	allowPull  bool
	keepAlive  *api.Duration

	mu       sync.Mutex
	version  string // once asked for
	evidence evidence
}

// New returns a client of the server at baseURL. It does not connect. A server
// on another machine is ErrRemote unless opts allow it.
func New(baseURL string, opts Options) (*Client, error) {
	base, err := parseBase(baseURL)
	if err != nil {
		return nil, err
	}
	local := isLoopback(base.Hostname())
	if !local && !opts.AllowRemote {
		return nil, hinted{fmt.Errorf("ollama server %q: %w", base.Redacted(), ErrRemote),
			"allow remote servers in the configuration, or use " + DefaultURL}
	}
	client := http.Client{}
	if opts.HTTPClient != nil {
		client = *opts.HTTPClient
	}
	client.CheckRedirect = refuseRedirect
	c := &Client{
		api:        api.NewClient(base, &client),
		http:       &client,
		base:       base,
		local:      local,
		allowCloud: opts.AllowCloud,
		allowPull:  opts.AllowPull,
	}
	if opts.KeepAlive != nil {
		c.keepAlive = &api.Duration{Duration: *opts.KeepAlive}
	}
	return c, nil
}

func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("ollama server %q: not an http address", s)
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// refuseRedirect keeps requests on the host that was checked: no Ollama server
// answers with a redirect.
func refuseRedirect(req *http.Request, _ []*http.Request) error {
	return fmt.Errorf("redirect to %q: %w", req.URL.Host, ErrRemote)
}

// ModelInfo describes a model that the server has.
type ModelInfo struct {
	Name          string
	Digest        string // of its manifest: SHA-256 in hexadecimal
	Size          int64  // bytes
	Modified      time.Time
	Family        string // "llama"
	ParameterSize string // "134.52M"
	Quantization  string // "Q4_1"
	RemoteHost    string // where the server forwards requests; empty if it answers them
}

// Cloud reports whether the model runs on another machine than the server.
func (m ModelInfo) Cloud() bool { return m.RemoteHost != "" || isCloudName(m.Name) }

// isCloudName knows the tags of models that Ollama forwards ("120b-cloud", "cloud").
func isCloudName(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, "-cloud") || strings.HasSuffix(name, ":cloud")
}

// List returns the models that the server has, cloud models included, the most
// recently changed first.
func (c *Client) List(ctx context.Context) ([]ModelInfo, error) {
	resp, err := c.api.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list models: %w", c.cause(ctx, err))
	}
	out := make([]ModelInfo, len(resp.Models))
	for i, m := range resp.Models {
		out[i] = modelInfo(m)
	}
	return out, nil
}

// Version returns the server's version ("0.17.4"), which it is asked for once.
func (c *Client) Version(ctx context.Context) (string, error) {
	c.mu.Lock()
	known := c.version
	c.mu.Unlock()
	if known != "" {
		return known, nil
	}
	v, err := c.api.Version(ctx)
	if err != nil {
		return "", fmt.Errorf("ask for the version: %w", c.cause(ctx, err))
	}
	c.mu.Lock()
	c.version = v
	c.mu.Unlock()
	return v, nil
}

// Delete removes the model named name from the server. An unknown one is
// ErrModelNotFound.
func (c *Client) Delete(ctx context.Context, name string) error {
	if err := c.api.Delete(ctx, &api.DeleteRequest{Model: name}); err != nil {
		return fmt.Errorf("delete model %q: %w", name, c.cause(ctx, err))
	}
	return nil
}
