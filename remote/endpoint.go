package remote

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"retort/llm"
)

// Options says which model of which service to ask.
type Options struct {
	// ID is the Model's ID ("mistral/mistral-small"); what stands before the slash
	// names the provider in errors. Empty means the adapter's own name and Model.
	ID         string
	BaseURL    string       // empty means the provider's own address
	Key        Secret       // sent to BaseURL's host alone; nil for a service that wants none
	Model      string       // what the service calls the model; required
	HTTPClient *http.Client // nil means one that bounds the time to connect, and no other

	ContextSize int  // tokens of prompt and answer; 0 if unknown
	MaxOutput   int  // tokens of the longest answer; 0 if unknown
	Images      bool // the model takes images
	Thinks      bool // it reasons before it answers, and takes no temperature, top_p or top_k
}

// Endpoint is one model of a service at its address. It holds no connection.
type Endpoint struct {
	Options
	base   *url.URL
	client *http.Client
}

// NewEndpoint returns the endpoint that opts describe, with provider and baseURL
// for what they leave open. It does not connect.
func NewEndpoint(opts Options, provider, baseURL string) (*Endpoint, error) {
	if opts.Model == "" {
		return nil, fmt.Errorf("%s: no model named", provider)
	}
	if opts.ID == "" {
		opts.ID = provider + "/" + opts.Model
	}
	if opts.BaseURL == "" {
		opts.BaseURL = baseURL
	}
	base, err := url.Parse(opts.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("model %q: base URL is not an http address", opts.ID)
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("model %q: base URL holds more than an address; give the key apart", opts.ID)
	}
	if base.Scheme == "http" && opts.Key != nil && !loopback(base.Hostname()) {
		return nil, fmt.Errorf("model %q: base URL would send the key unencrypted", opts.ID)
	}
	client := http.Client{Transport: defaultTransport}
	if opts.HTTPClient != nil {
		client = *opts.HTTPClient
	}
	client.CheckRedirect = sameHost(base)
	return &Endpoint{Options: opts, base: base, client: &client}, nil
}

// defaultTransport bounds each step up to the connection. What comes after it is
// bounded by the caller, who alone knows how long a model may think.
var defaultTransport = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 10 * time.Second
	t.MaxResponseHeaderBytes = 64 << 10
	return t
}()

// IsLocal reports whether rawURL is an address of this machine.
func IsLocal(rawURL string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && loopback(u.Hostname())
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// sameHost allows redirects that neither leave the host nor drop its encryption,
// so that neither key nor conversation reaches anybody else.
func sameHost(base *url.URL) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if req.URL.Scheme != base.Scheme || req.URL.Host != base.Host || len(via) > 3 {
			return fmt.Errorf("redirect to %s://%s refused", req.URL.Scheme, req.URL.Host)
		}
		return nil
	}
}

// Host is the host that is asked, without its port.
func (e *Endpoint) Host() string { return e.base.Hostname() }

// URL is the address that was given, without a slash at its end.
func (e *Endpoint) URL() string { return strings.TrimRight(e.base.String(), "/") }

// Provider is what stands before the slash in the ID.
func (e *Endpoint) Provider() string {
	p, _, _ := strings.Cut(e.ID, "/")
	return p
}

// Local reports whether requests stay on this machine.
func (e *Endpoint) Local() bool { return loopback(e.Host()) }

// Sampling returns s as the model takes it, with a warning for each part that it
// does not.
func (e *Endpoint) Sampling(s llm.Sampling) (llm.Sampling, []string) {
	if !e.Thinks {
		return s, nil
	}
	var warnings []string
	for name, set := range map[string]bool{"temperature": s.Temperature != nil, "top_p": s.TopP != nil, "top_k": s.TopK != nil} {
		if set {
			warnings = append(warnings, name+": the model takes none")
		}
	}
	s.Temperature, s.TopP, s.TopK = nil, nil, nil
	return s, warnings
}

// String returns the ID, so that no way of printing e shows more.
func (e *Endpoint) String() string { return e.ID }

var errTooLong = errors.New("the service sends more than an answer can hold")
