package socket

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"os"

	"retort/dataset"
)

// Owner is the process that holds a store.
type Owner struct {
	PID int `json:"pid"`
}

// routes are all calls that a Server takes, by the name that Client sends.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for name, do := range map[string]answerer{
		"owner":      form(s.owner),
		"get":        form(s.get),
		"all":        form(s.all),
		"put":        list(func(ctx context.Context, in []dataset.Example) (int, error) { return s.store.Put(ctx, in...) }),
		"rate":       form(s.rate),
		"prefer":     form(s.prefer),
		"stats":      form(s.stats),
		"putqueries": list(s.putQueries),
		"queries":    form(s.queries),
		"verify":     form(s.verify),
		"forget":     form(s.forget),
		"backup":     form(s.backup),
	} {
		mux.Handle("POST /"+name, s.handle(do))
	}
	return mux
}

func (s *Server) owner(context.Context, url.Values) (iter.Seq2[Owner, error], error) {
	return single(Owner{PID: os.Getpid()}, nil), nil
}

func (s *Server) get(ctx context.Context, form url.Values) (iter.Seq2[dataset.Example, error], error) {
	return single(s.store.Get(ctx, form.Get("id"))), nil
}

func (s *Server) all(ctx context.Context, form url.Values) (iter.Seq2[dataset.Example, error], error) {
	f, err := formFilter(form)
	return s.store.All(ctx, f), err
}

func (s *Server) rate(ctx context.Context, form url.Values) (iter.Seq2[dataset.Example, error], error) {
	stars, err := integer(form, "stars")
	if err != nil {
		return nil, err
	}
	return single(s.store.Rate(ctx, form.Get("id"), stars)), nil
}

func (s *Server) prefer(ctx context.Context, form url.Values) (iter.Seq2[preferred, error], error) {
	p, err := formPreference(form)
	if err != nil {
		return nil, err
	}
	worse, better, err := s.store.Prefer(ctx, p)
	return single(preferred{worse, better}, err), nil
}

func (s *Server) stats(ctx context.Context, _ url.Values) (iter.Seq2[dataset.Stats, error], error) {
	return single(s.store.Stats(ctx)), nil
}

func (s *Server) putQueries(ctx context.Context, in []dataset.Query) (struct{}, error) {
	return struct{}{}, s.store.PutQueries(ctx, in...)
}

func (s *Server) queries(ctx context.Context, _ url.Values) (iter.Seq2[dataset.Query, error], error) {
	return s.store.Queries(ctx), nil
}

func (s *Server) verify(ctx context.Context, _ url.Values) (iter.Seq2[report, error], error) {
	r, err := s.store.Verify(ctx)
	return single(reportOf(r), err), nil
}

func (s *Server) forget(ctx context.Context, form url.Values) (iter.Seq2[int, error], error) {
	return single(s.store.Forget(ctx, form["id"]...)), nil
}

func (s *Server) backup(ctx context.Context, form url.Values) (iter.Seq2[dataset.BackupReport, error], error) {
	return single(s.store.Backup(ctx, form.Get("path"))), nil
}
