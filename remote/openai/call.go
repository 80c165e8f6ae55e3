package openai

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
)

const (
	maxLine       = 8 << 20  // bytes of one record of a stream
	maxRefusal    = 64 << 10 // bytes of the body that comes with an error status
	maxBlankLines = 100_000  // before the first record; services send them while a request queues
)

// call is one exchange with a service. It stands between go-openai and the HTTP
// client: it adds the key and what go-openai cannot say, and keeps the reply, of
// which go-openai's errors show the body alone.
type call struct {
	http  *http.Client
	key   Secret
	extra map[string]float64 // fields beside those in go-openai's request
	sent  bool
	reply *http.Response
}

// Do implements go-openai's HTTPDoer.
func (c *call) Do(req *http.Request) (*http.Response, error) {
	if err := c.amend(req); err != nil {
		return nil, err
	}
	if key := c.key.reveal(); key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	c.sent = true
	reply, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	c.reply = reply
	visible := *reply
	if reply.StatusCode >= http.StatusBadRequest {
		visible.Body = io.NopCloser(io.LimitReader(reply.Body, maxRefusal))
	} else {
		visible.Body = io.NopCloser(newRecords(reply.Body))
	}
	return &visible, nil
}

// amend puts c.extra into the body.
func (c *call) amend(req *http.Request) error {
	var body map[string]json.RawMessage
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		return err
	}
	for name, value := range c.extra {
		raw, err := json.Marshal(value)
		if err != nil {
			return err
		}
		body[name] = raw
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	return nil
}

func (c *call) close() {
	if c.reply != nil {
		c.reply.Body.Close()
	}
}

// records passes on the lines of an event stream, none of them longer than maxLine,
// and puts a space into each record. It keeps go-openai from knowing error records,
// which it would hold back until the next line, and lose if their shape is not
// OpenAI's own.
type records struct {
	lines *bufio.Scanner
	rest  []byte // of the present line
}

func newRecords(body io.Reader) *records {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	return &records{lines: lines}
}

func (r *records) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if !r.lines.Scan() {
			if err := r.lines.Err(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		line := r.lines.Bytes()
		if bytes.HasPrefix(line, []byte("data:")) {
			line = bytes.Replace(line, []byte("{"), []byte("{ "), 1)
		}
		r.rest = append(bytes.Clone(line), '\n')
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
