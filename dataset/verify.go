package dataset

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Report is what Verify found.
type Report struct {
	Examples uint64  // how many were acknowledged
	Intact   uint64  // how many of them are as they were written
	Queries  uint64  // how many of the query log are as they were written
	Damage   []error // what is wrong; each wraps ErrDamaged
}

// Err returns nil for an intact store, else all of Damage as one error.
func (r Report) Err() error { return errors.Join(r.Damage...) }

func (r *Report) damaged(format string, args ...any) {
	r.Damage = append(r.Damage, fmt.Errorf(format+": %w", append(args, ErrDamaged)...))
}

// Verify reads the whole store: the checksum of every record, gaps in the
// numbering, examples that fell back to an older version, the index, and whether
// each example still has the content that its ID names. Its error says that it
// could not finish; damage is in the Report.
func (s *Store) Verify(ctx context.Context) (Report, error) {
	report, err := s.verify(ctx, true)
	if err != nil {
		return report, fmt.Errorf("verify store %q: %w", s.dir, err)
	}
	return report, nil
}

// verify decodes the examples only if it is to be thorough.
func (s *Store) verify(ctx context.Context, thorough bool) (Report, error) {
	if err := s.enter(); err != nil {
		return Report{}, err
	}
	defer s.leave()
	var r Report
	errs := s.log.mark()
	sn, err := s.snapshot()
	if err != nil {
		return r, err
	}
	defer sn.close()
	r.Examples = sn.state.examples()
	if err := sn.verifyIndex(ctx, &r); err != nil {
		return r, err
	}
	if err := sn.verifyExamples(ctx, &r, thorough); err != nil {
		return r, err
	}
	if err := sn.verifyQueries(ctx, &r); err != nil {
		return r, err
	}
	if err := s.log.since(errs); err != nil {
		r.damaged("%v", err)
	}
	return r, nil
}

// verifyIndex checks that there are as many index entries as examples.
func (sn *snapshot) verifyIndex(ctx context.Context, r *Report) error {
	var entries uint64
	for e, err := range sn.entries(ctx, indexPrefix) {
		if err != nil {
			return err
		}
		if _, err := decodeIndex(e.key, e.raw); err != nil {
			r.Damage = append(r.Damage, err)
		}
		entries++
	}
	if entries != sn.state.examples() {
		r.damaged("the index has %d entries for %d examples", entries, sn.state.examples())
	}
	return nil
}

// verifyExamples checks each example, and by the sum of their changes that none
// is an older version of itself.
func (sn *snapshot) verifyExamples(ctx context.Context, r *Report, thorough bool) error {
	var sum, gone uint64
	damaged := len(r.Damage)
	for rec, err := range sn.positions(ctx) {
		if err == nil {
			sum += rec.change
		}
		if err == nil && rec.isGone() {
			gone++
			continue
		}
		if err == nil && thorough {
			err = sn.verifyContent(rec)
		}
		switch {
		case err == nil:
			r.Intact++
		case errors.Is(err, ErrDamaged):
			r.Damage = append(r.Damage, err)
		default:
			return err
		}
	}
	if len(r.Damage) == damaged && (sum != sn.state.Sum || gone != sn.state.Gone) {
		r.damaged("some example is an older version of itself")
	}
	return nil
}

// verifyContent checks that rec has the ID its content gives it, and that the
// index leads to it.
func (sn *snapshot) verifyContent(rec stored) error {
	ex, err := rec.example()
	if err != nil {
		return err
	}
	digest := identity(ex)
	if ex.ID != idPrefix+hex.EncodeToString(digest) {
		return fmt.Errorf("example %d: %w: its content is not the one of %q", rec.position, ErrDamaged, ex.ID)
	}
	key := indexKey(digest)
	raw, err := readRaw(sn.txn, key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return fmt.Errorf("example %d: %w: it is not in the index", rec.position, ErrDamaged)
	}
	if err != nil {
		return err
	}
	position, err := decodeIndex(key, raw)
	if err == nil && position != rec.position {
		err = fmt.Errorf("example %d: %w: the index leads to example %d", rec.position, ErrDamaged, position)
	}
	return err
}
