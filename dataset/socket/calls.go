package socket

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"path/filepath"
	"strconv"

	"retort/dataset"
)

// Get is dataset.Store.Get.
func (c *Client) Get(ctx context.Context, id string) (dataset.Example, error) {
	return one[dataset.Example](ctx, c, formCall("get", fmt.Sprintf("get example %q", id), url.Values{"id": {id}}))
}

// All is dataset.Store.All. Where the holder ends in the middle, the last thing
// yielded is an error that wraps ErrLost.
func (c *Client) All(ctx context.Context, f dataset.Filter) iter.Seq2[dataset.Example, error] {
	return stream[dataset.Example](ctx, c, formCall("all", "read examples", filterForm(f)))
}

// Put is dataset.Store.Put, with the holder's Policy. After an error that wraps
// ErrLost it may be called again: what is stored is not stored twice.
func (c *Client) Put(ctx context.Context, examples ...dataset.Example) (stored int, err error) {
	var body bytes.Buffer
	for i, ex := range examples {
		err := ex.Validate() // here, because JSON would make it valid
		if err == nil {
			err = addLine(&body, ex)
		}
		if err != nil {
			return 0, fmt.Errorf("put: example %d of %d: %w", i+1, len(examples), err)
		}
	}
	return one[int](ctx, c, call{name: "put", what: "put", body: body.Bytes()})
}

// Rate is dataset.Store.Rate, with the holder's Policy.
func (c *Client) Rate(ctx context.Context, id string, stars int) (dataset.Example, error) {
	return one[dataset.Example](ctx, c, formCall("rate", fmt.Sprintf("rate example %q", id),
		url.Values{"id": {id}, "stars": {strconv.Itoa(stars)}}))
}

// Prefer is dataset.Store.Prefer, with the holder's Policy.
func (c *Client) Prefer(ctx context.Context, p dataset.Preference) (worse, better dataset.Example, err error) {
	both, err := one[preferred](ctx, c, formCall("prefer", fmt.Sprintf("prefer over example %q", p.ID), preferenceForm(p)))
	return both.Worse, both.Better, err
}

// Stats is dataset.Store.Stats.
func (c *Client) Stats(ctx context.Context) (dataset.Stats, error) {
	return one[dataset.Stats](ctx, c, call{name: "stats", what: "read examples"})
}

// PutQueries is dataset.Store.PutQueries. After an error that wraps ErrLost the
// queries may be logged or not; calling it again may log them twice.
func (c *Client) PutQueries(ctx context.Context, queries ...dataset.Query) error {
	var body bytes.Buffer
	for _, q := range queries {
		err := q.Validate()
		if err == nil {
			err = addLine(&body, q)
		}
		if err != nil {
			return fmt.Errorf("log query: %w", err)
		}
	}
	_, err := one[struct{}](ctx, c, call{name: "putqueries", what: "log query", body: body.Bytes(), once: true})
	return err
}

// Queries is dataset.Store.Queries. Where the holder ends in the middle, the last
// thing yielded is an error that wraps ErrLost.
func (c *Client) Queries(ctx context.Context) iter.Seq2[dataset.Query, error] {
	return stream[dataset.Query](ctx, c, call{name: "queries", what: "read queries"})
}

// Verify is dataset.Store.Verify.
func (c *Client) Verify(ctx context.Context) (dataset.Report, error) {
	r, err := one[report](ctx, c, call{name: "verify", what: fmt.Sprintf("verify store %q", filepath.Dir(c.path))})
	return r.report(), err
}

// maxForm is how many IDs are sent in one call: Go reads no form of more than ten
// thousand fields.
const maxForm = 1000

// Forget is dataset.Store.Forget. After an error that wraps ErrLost it may be
// called again.
func (c *Client) Forget(ctx context.Context, ids ...string) (n int, err error) {
	for {
		some := ids[:min(len(ids), maxForm)]
		removed, err := one[int](ctx, c, formCall("forget", "forget", url.Values{"id": some}))
		n += removed
		if ids = ids[len(some):]; err != nil || len(ids) == 0 {
			return n, err
		}
	}
}

// Backup is dataset.Store.Backup: the holder writes the file. A relative path is
// one from this process's folder.
func (c *Client) Backup(ctx context.Context, path string) (dataset.BackupReport, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return dataset.BackupReport{}, fmt.Errorf("back up to %q: %w", path, err)
	}
	return one[dataset.BackupReport](ctx, c, formCall("backup", fmt.Sprintf("back up to %q", path), url.Values{"path": {path}}))
}

// addLine adds v to a body of JSON lines.
func addLine(body *bytes.Buffer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %w", dataset.ErrInvalid, err)
	}
	body.Write(append(data, '\n'))
	return nil
}
