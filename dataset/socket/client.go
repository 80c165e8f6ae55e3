package socket

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"retort/dataset"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrUnreachable: no process serves the store, or it ended before it took
	// the call, which may be made again.
	ErrUnreachable = errors.New("no process serves the store")

	// ErrLost: the process that holds the store ended before it answered, or in
	// the middle of its answer. What it was asked may or may not be done.
	ErrLost = errors.New("the process that held the store ended before it had answered, so what it was asked may or may not be done")

	// ErrProtocol: the process that holds the store is another version of this
	// program, which cannot be talked to.
	ErrProtocol = errors.New("the process that holds the store is another version of this program")
)

// Client reaches a store that another process holds. Its methods are those of
// dataset.Store and may be called from several goroutines.
type Client struct {
	path   string
	http   *http.Client
	owner  Owner
	closed atomic.Bool
}

// dialTime is how long Dial waits for a process that accepted the connection.
const dialTime = 5 * time.Second

// Dial reaches the process that serves the store on path. The error wraps
// ErrUnreachable where there is none, or it does not answer, and ErrProtocol.
func Dial(ctx context.Context, path string) (*Client, error) { return reach(ctx, path, dialTime) }

func reach(ctx context.Context, path string, timeout time.Duration) (*Client, error) {
	c := &Client{path: path}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:           c.dial,
		DisableCompression:    true,
		MaxIdleConnsPerHost:   16,
		ExpectContinueTimeout: 24 * time.Hour, // for ever: ctx ends it
	}}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var err error
	if c.owner, err = one[Owner](bounded, c, call{name: "owner"}); err != nil {
		c.http.CloseIdleConnections()
		if ctx.Err() == nil && bounded.Err() != nil {
			err = fmt.Errorf("%w: it does not answer", ErrUnreachable)
		}
		return nil, fmt.Errorf("reach the store on %q: %w", path, err)
	}
	return c, nil
}

// Owner is the process that held the store when Dial reached it.
func (c *Client) Owner() Owner { return c.owner }

// Close lets go of the connections. Calls from now on are dataset.ErrClosed.
func (c *Client) Close() error {
	c.closed.Store(true)
	c.http.CloseIdleConnections()
	return nil
}

// dial connects to whoever serves the store now.
func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	address, err := addressOf(c.path)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", address)
	if err != nil {
		return nil, err
	}
	if err := checkPeer(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// call is one call of the holder.
type call struct {
	name string // of the method on the wire
	what string // what an error of ours begins with, as dataset's own do
	body []byte
	once bool // may not be made twice
}

func formCall(name, what string, form url.Values) call {
	return call{name: name, what: what, body: []byte(form.Encode())}
}

// watched is a body that remembers whether anybody read from it.
type watched struct {
	io.Reader
	read atomic.Bool
}

func (w *watched) Read(p []byte) (int, error) {
	w.read.Store(true)
	return w.Reader.Read(p)
}

// send makes a call. Of one that may not be made twice, the body is sent when
// the holder says that it takes the call: before that, it is certain that
// nothing was done.
func (c *Client) send(ctx context.Context, ca call) (*http.Response, error) {
	if c.closed.Load() {
		return nil, dataset.ErrClosed
	}
	body := &watched{Reader: bytes.NewReader(ca.body)}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://store/"+ca.name, body)
	if err != nil {
		return nil, err
	}
	if req.ContentLength = int64(len(ca.body)); req.ContentLength == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set(protocolHeader, protocol)
	if ca.once {
		req.Header.Set("Expect", "100-continue")
	}
	resp, err := c.http.Do(req)
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the address, which means nothing here
	}
	switch {
	case err == nil:
		return resp, understood(resp)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case body.read.Load():
		return nil, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// understood closes the body of an answer that is an error.
func understood(resp *http.Response) error {
	version := resp.Header.Get(protocolHeader)
	if version == protocol && resp.StatusCode == http.StatusOK {
		return nil
	}
	defer resp.Body.Close()
	if version != protocol {
		return fmt.Errorf("%w: process %q speaks version %q of the protocol, not %s", ErrProtocol, resp.Header.Get(pidHeader), version, protocol)
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status is the error
	return fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(text)))
}

// stream yields the values and errors of an answer. One that does not come to
// its end, and ctx, are an error that is the last thing yielded.
func stream[T any](ctx context.Context, c *Client, ca call) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		resp, err := c.send(ctx, ca)
		if err != nil {
			var zero T
			yield(zero, ca.error(err))
			return
		}
		defer resp.Body.Close()
		decode[T](ctx, ca, resp.Body)(yield)
	}
}

// decode is stream for an answer whose lines are in body.
func decode[T any](ctx context.Context, ca call, body io.Reader) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for dec := json.NewDecoder(bufio.NewReaderSize(body, 64<<10)); ; {
			var l line[T]
			err := dec.Decode(&l)
			switch {
			case ctx.Err() != nil:
				yield(zero, ca.error(ctx.Err()))
				return
			case err != nil:
				yield(zero, ca.error(fmt.Errorf("%w: %w", ErrLost, err)))
				return
			case l.End:
				_, _ = io.Copy(io.Discard, body) // so that the connection can be used again
				return
			}
			v := zero
			if l.Value != nil {
				v = *l.Value
			}
			if !yield(v, l.Error.error()) {
				return
			}
		}
	}
}

// one returns the only value of an answer.
func one[T any](ctx context.Context, c *Client, ca call) (T, error) {
	var v T
	var err error
	n := 0
	for v, err = range stream[T](ctx, c, ca) {
		n++
	}
	if n == 0 || n > 1 && err == nil {
		err = ca.error(fmt.Errorf("the answer has %d values, want 1", n))
	}
	return v, err
}

// error names the call in an error of ours.
func (ca call) error(err error) error {
	if ca.what == "" {
		return err
	}
	return fmt.Errorf("%s: %w", ca.what, err)
}
