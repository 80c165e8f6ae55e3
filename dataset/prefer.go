package dataset

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// KindManual is the Source.Kind of what a user wrote.
const KindManual = "manual"

// Preference is a wish to have another answer than one that is stored.
type Preference struct {
	ID     string // of the example whose answer is worse, as Get takes it
	Stars  int    // for that answer, 1 to 5
	Better string // what the answer should have been
}

// Prefer stores a better answer to the question of an example, and both facts in
// one piece: the old example has the stars, and the better one names the old
// answer among its Rejected. The better one is made with five stars and the
// terms of the old one, or found where it is stored already. Doing it again
// changes nothing.
func (s *Store) Prefer(ctx context.Context, p Preference) (worse, better Example, err error) {
	if err := s.enter(); err != nil {
		return Example{}, Example{}, fmt.Errorf("prefer over example %q: %w", p.ID, err)
	}
	defer s.leave()
	if p.Stars < 1 || p.Stars > 5 {
		return Example{}, Example{}, fmt.Errorf("prefer over example %q: %w: %d stars, want 1 to 5", p.ID, ErrInvalid, p.Stars)
	}
	err = s.committer.submit(ctx, func(b *batch) (err error) {
		worse, better, err = s.prefer(b, p)
		return err
	})
	if err != nil {
		// What submit filled in may still be written to, if it was ctx that ended.
		return Example{}, Example{}, fmt.Errorf("prefer over example %q: %w", p.ID, err)
	}
	return worse, better, nil
}

func (s *Store) prefer(b *batch, p Preference) (worse, better Example, err error) {
	worseRec, err := find(b.txn, p.ID)
	if err != nil {
		return worse, better, err
	}
	if worse, err = worseRec.example(); err != nil {
		return worse, better, err
	}
	worseBefore := worse
	better = Identify(Example{Messages: worse.Messages, Response: p.Better, QualityScore: 1, TaskType: worse.TaskType,
		Source: Source{Kind: KindManual, Terms: worse.Source.Terms}})
	betterRec, err := s.known(b, &better)
	if err != nil {
		return worse, better, err
	}
	betterBefore := better
	if better.UserFeedback == 0 {
		better.UserFeedback = 5
	}
	better.Rejected = union(better.Rejected, []string{worse.Response})
	if err := better.Validate(); err != nil {
		return worse, better, err
	}
	better, betterPayload, err := s.starred(better, better.UserFeedback)
	if err != nil {
		return worse, better, err
	}
	worse.Rejected = slices.DeleteFunc(slices.Clone(worse.Rejected), func(text string) bool { return text == p.Better }) // no longer
	worse, worsePayload, err := s.starred(worse, p.Stars)
	if err != nil {
		return worse, better, err
	}
	// Nothing was written so far: what is refused leaves the batch as it was.
	if err := b.replace(worseRec, worseBefore, worse, worsePayload); err != nil {
		return worse, better, err
	}
	if betterRec.position == 0 {
		return worse, better, b.add(identity(better), better, betterPayload)
	}
	return worse, better, b.replace(betterRec, betterBefore, better, betterPayload)
}

// known reads ex as it is stored, if it is; else it gives it the present time.
func (s *Store) known(b *batch, ex *Example) (stored, error) {
	position, err := b.position(identity(*ex))
	if err != nil {
		return stored{}, err
	}
	if position == 0 {
		ex.CreatedAt = time.Now().UTC()
		return stored{}, nil
	}
	rec, err := readPosition(b.txn, position)
	if err == nil {
		*ex, err = rec.example()
	}
	return rec, err
}
