package socket

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"

	"retort/dataset"
)

// Get is dataset.Store.Get.
func (s *Store) Get(ctx context.Context, id string) (ex dataset.Example, err error) {
	err = s.do(ctx, unanswered, func(h holder) (err error) {
		ex, err = h.Get(ctx, id)
		return err
	})
	return ex, err
}

// All is dataset.Store.All. Where the holder ends in the middle, the sequence
// goes on behind the last example, as the next holder has it: then examples that
// were stored meanwhile are among the rest, and damage may be reported again.
func (s *Store) All(ctx context.Context, f dataset.Filter) iter.Seq2[dataset.Example, error] {
	return func(yield func(dataset.Example, error) bool) {
		last, found, lost := "", 0, false
		again := func(err error) bool { return !lost && unanswered(err) } // where the place is lost, the holder is not
		err := s.do(ctx, again, func(h holder) error {
			rest, behind := f, last == ""
			var passed error // over; in the end, why the sequence ended before it was behind
			if !behind {
				rest.Limit = 0 // it counts those from the beginning
			}
			for ex, err := range h.All(ctx, rest) {
				if unanswered(err) {
					return err
				}
				if !behind {
					behind, passed = ex.ID == last, err
					continue
				}
				if err == nil {
					last = ex.ID
					found++
				}
				if !yield(ex, err) || found == f.Limit && f.Limit > 0 {
					return nil
				}
			}
			if lost = !behind; lost && passed == nil {
				passed = fmt.Errorf("read examples: %w, and example %q, up to which they were read, is none of them any more", ErrLost, last)
			}
			return passed
		})
		if err != nil {
			yield(dataset.Example{}, err)
		}
	}
}

// Put is dataset.Store.Put, with the holder's Policy. Where the holder ended
// before it answered, the next one is asked again, and stored counts what that
// one did not have.
func (s *Store) Put(ctx context.Context, examples ...dataset.Example) (stored int, err error) {
	err = s.do(ctx, unanswered, func(h holder) (err error) {
		stored, err = h.Put(ctx, examples...)
		return err
	})
	return stored, err
}

// Rate is dataset.Store.Rate, with the holder's Policy.
func (s *Store) Rate(ctx context.Context, id string, stars int) (ex dataset.Example, err error) {
	err = s.do(ctx, unanswered, func(h holder) (err error) {
		ex, err = h.Rate(ctx, id, stars)
		return err
	})
	return ex, err
}

// Prefer is dataset.Store.Prefer, with the holder's Policy.
func (s *Store) Prefer(ctx context.Context, p dataset.Preference) (worse, better dataset.Example, err error) {
	err = s.do(ctx, unanswered, func(h holder) (err error) {
		worse, better, err = h.Prefer(ctx, p)
		return err
	})
	return worse, better, err
}

// Stats is dataset.Store.Stats.
func (s *Store) Stats(ctx context.Context) (st dataset.Stats, err error) {
	err = s.do(ctx, unanswered, func(h holder) (err error) {
		st, err = h.Stats(ctx)
		return err
	})
	return st, err
}

// PutQueries is dataset.Store.PutQueries. An error that wraps ErrLost says that
// the queries may be logged or not.
func (s *Store) PutQueries(ctx context.Context, queries ...dataset.Query) error {
	return s.do(ctx, notTaken, func(h holder) error { return h.PutQueries(ctx, queries...) })
}

// Queries is dataset.Store.Queries. Where the holder ends in the middle, the last
// thing yielded is an error that wraps ErrLost.
func (s *Store) Queries(ctx context.Context) iter.Seq2[dataset.Query, error] {
	return func(yield func(dataset.Query, error) bool) {
		begun := false
		err := s.do(ctx, func(err error) bool { return !begun && unanswered(err) }, func(h holder) error {
			for q, err := range h.Queries(ctx) {
				if unanswered(err) {
					return err
				}
				begun = true
				if !yield(q, err) {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			yield(dataset.Query{}, err)
		}
	}
}

// Verify is dataset.Store.Verify.
func (s *Store) Verify(ctx context.Context) (r dataset.Report, err error) {
	err = s.do(ctx, unanswered, func(h holder) (err error) {
		r, err = h.Verify(ctx)
		return err
	})
	return r, err
}

// Forget is dataset.Store.Forget. Where the holder ended before it answered, the
// next one is asked again, and n counts what that one still had.
func (s *Store) Forget(ctx context.Context, ids ...string) (n int, err error) {
	err = s.do(ctx, unanswered, func(h holder) (err error) {
		n, err = h.Forget(ctx, ids...)
		return err
	})
	return n, err
}

// Backup is dataset.Store.Backup: the holder writes the file. A relative path is
// one from this process's folder.
func (s *Store) Backup(ctx context.Context, path string) (r dataset.BackupReport, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return r, fmt.Errorf("back up to %q: %w", path, err)
	}
	err = s.do(ctx, unanswered, func(h holder) (err error) {
		r, err = h.Backup(ctx, path)
		return err
	})
	return r, err
}
