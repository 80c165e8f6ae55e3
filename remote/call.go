package remote

import (
	"io"
	"net/http"
)

const maxRefusal = 64 << 10 // bytes of the body that comes with an error status

// Call is one exchange with a service. It stands between an SDK and the HTTP
// client: it adds the key, which the SDK so never holds, bounds what comes back,
// and keeps the reply, of which an SDK's errors show only a part. It serves one
// request; Close it whatever came of that.
type Call struct {
	// Amend changes the request before it is sent; may be nil.
	Amend func(*http.Request) error
	// Line changes a line of the answer before the SDK reads it, or drops it by
	// returning nil; may be nil itself.
	Line func([]byte) []byte

	e      *Endpoint
	sign   func(h http.Header, key string)
	sent   bool
	reply  *http.Response
	stream *stream
}

// Call returns a new exchange with e. sign puts the key into the header; it is not
// called where there is none.
func (e *Endpoint) Call(sign func(h http.Header, key string)) *Call { return &Call{e: e, sign: sign} }

// Do sends req. A status from 400 up comes with a bounded body; below that the
// body is a stream of events, which ends early where Err is not nil.
func (c *Call) Do(req *http.Request) (*http.Response, error) {
	theirs := req // SDKs keep it in their errors
	req = req.Clone(req.Context())
	if c.Amend != nil {
		if err := c.Amend(req); err != nil {
			return nil, err
		}
	}
	if key := c.e.Key.Reveal(); key != "" {
		c.sign(req.Header, key)
	}
	c.sent = true
	reply, err := c.e.client.Do(req)
	if err != nil {
		return nil, err
	}
	c.reply = reply
	visible := *reply
	visible.Request = theirs // the other holds the key
	if reply.StatusCode >= http.StatusBadRequest {
		visible.Body = io.NopCloser(io.LimitReader(reply.Body, maxRefusal))
	} else {
		c.stream = newStream(reply.Body, c.Line)
		visible.Body = c.stream
	}
	return &visible, nil
}

// RoundTrip lets a Call be the transport of an http.Client.
func (c *Call) RoundTrip(req *http.Request) (*http.Response, error) { return c.Do(req) }

// Client returns an http.Client that makes this one exchange.
func (c *Call) Client() *http.Client { return &http.Client{Transport: c} }

// Sent reports whether the request went to the service, whatever came back.
func (c *Call) Sent() bool { return c.sent }

// Status is the HTTP status of the reply; 0 if there was none.
func (c *Call) Status() int {
	if c.reply == nil {
		return 0
	}
	return c.reply.StatusCode
}

// Err says what ended the stream before its time; nil after an orderly end.
func (c *Call) Err() error {
	if c.stream == nil {
		return nil
	}
	return c.stream.err
}

// Close ends the exchange and gives back its connection.
func (c *Call) Close() {
	if c.reply != nil {
		c.reply.Body.Close()
	}
}
