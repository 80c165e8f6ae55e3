package ensemble

import (
	"context"
	"fmt"
	"slices"
)

// bestOfN takes the candidate that is best: by the judges or by what the other
// members find likely, where one of these is wanted, else by votes weighted with
// quality. Where no two answers agree the last is the best member's own.
type bestOfN struct{}

func (bestOfN) run(ctx context.Context, q *query) error {
	settled := func() bool { return q.decided(byQuality) }
	if len(q.opts.Judges) > 0 || q.opts.CrossLikelihood {
		settled = nil // these may yet prefer an answer that nobody votes for
	}
	if err := q.gather(ctx, q.all(), settled); err != nil {
		return q.failed(err)
	}
	votes, top := q.poll(ctx, byQuality)
	confidence := top.Score
	if q.distinct() > 1 {
		if chosen, margin, ok := q.judged(ctx, votes); ok {
			top, confidence = chosen, (1+margin)/2
		} else if chosen, p, ok := q.crossed(ctx); ok {
			top, confidence = chosen, p
		}
	}
	q.settle(top, votes, confidence)
	return nil
}

// voting is the run of the strategies that differ only in what a vote weighs.
func voting(ctx context.Context, q *query, w weighing) error {
	if err := q.gather(ctx, q.all(), func() bool { return q.decided(w) }); err != nil {
		return q.failed(err)
	}
	q.elect(ctx, w)
	return nil
}

// elect settles on the candidate with the largest weight of votes.
func (q *query) elect(ctx context.Context, w weighing) {
	votes, top := q.poll(ctx, w)
	q.settle(top, votes, top.Score)
}

// poll counts the votes, scores every candidate by them and returns the one that
// most are for.
func (q *query) poll(ctx context.Context, w weighing) (tally, Candidate) {
	q.cluster(ctx)
	q.soft = w.soft
	votes := q.count(w)
	q.score(votes)
	top := q.best()
	if key := votes.leader(); votes.share(key) > top.Score+equal { // nobody happened to draw it
		top = q.unsampled(key, votes.share(key))
	}
	return votes, top
}

// failed ends a question to which nobody answered, with every member's reason.
func (q *query) failed(err error) error {
	for i := range q.parts {
		q.out.Members = append(q.out.Members, q.result(i))
	}
	return err
}

// vote gives every member the same say.
type vote struct{}

func (vote) run(ctx context.Context, q *query) error { return voting(ctx, q, byHead) }

// weighted gives every member the say that its accuracy warrants.
type weighted struct{}

func (weighted) run(ctx context.Context, q *query) error { return voting(ctx, q, byOdds) }

// consensus answers only if every member's majority is the same answer.
type consensus struct{}

func (consensus) run(ctx context.Context, q *query) error {
	q.soft = true
	if err := q.gather(ctx, q.all(), q.concluded); err != nil {
		return q.failed(err)
	}
	q.elect(ctx, byQuality)
	if ok, why := agreed(q.out.Members); !ok {
		q.out.Answer, q.out.FinishReason = "", ""
		return fmt.Errorf("%w: %s", ErrNoConsensus, why)
	}
	return nil
}

// concluded reports whether consensus is already reached or out of reach.
func (q *query) concluded() bool {
	if q.mayJoin() {
		return false
	}
	first, known, all := "", false, true
	for i := range q.parts {
		key, fixed := q.fixed(i)
		if !fixed {
			all = false
			continue
		}
		if known && key != first {
			return true
		}
		first, known = key, true
	}
	if len(q.members) == 1 { // its samples must be unanimous
		return q.distinct() > 1
	}
	return all && !q.opts.AllVotes
}

// specialization asks the member that is worth most for the task type, and the
// next where that one fails.
type specialization struct{}

func (specialization) run(ctx context.Context, q *query) error {
	var err error
	for _, i := range q.byWorth() {
		err = q.gather(ctx, []int{i}, func() bool { return q.decided(byHead) })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if len(q.parts[i].candidates) == 0 {
			continue
		}
		q.elect(ctx, byHead)
		q.out.Method = MethodRecord
		return nil
	}
	return q.failed(err)
}

// MethodRecord is the Method of confidence that is the record of the model that
// answered, or, over several samples of one that was chosen for it, their agreement.
const MethodRecord = "the model's record on this task type"

// cascade asks the cheapest members first and the others one by one, while the
// answer is in doubt. At the end all that was said is weighed.
type cascade struct{}

func (cascade) run(ctx context.Context, q *query) error {
	for _, stage := range q.stages() {
		err := q.gather(ctx, stage, nil) // a stage is there to be compared, so all of it
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			q.out.Members = nil
			continue // the next stage may do better
		}
		q.elect(ctx, byOdds)
		if q.sure() {
			break
		}
	}
	if len(q.out.Members) == 0 {
		return q.failed(q.enoughAnswered())
	}
	return nil
}

// sure reports whether a cascade may end: by calibrated confidence if there is
// such, else if all samples of all who were asked say the same.
func (q *query) sure() bool {
	if q.out.Calibrated && q.opts.MinConfidence > 0 {
		return q.out.Confidence >= q.opts.MinConfidence
	}
	answered, samples := 0, 0
	for _, p := range q.parts {
		if len(p.candidates) > 0 {
			answered++
			samples += len(p.candidates)
		}
	}
	return samples > 1 && q.distinct() == 1
}

// stages orders the members by price, the better first where that is equal. The
// first stage is all that are free, and as many more as it takes for two answers
// that can be compared.
func (q *query) stages() [][]int {
	who := q.byWorth()
	price := func(i int) float64 { return q.members[i].mostCost(q.req) }
	slices.SortStableFunc(who, func(a, b int) int {
		switch {
		case price(a) < price(b):
			return -1
		case price(a) > price(b):
			return 1
		}
		return 0
	})
	n, samples := 0, 0
	for n < len(who) && (samples < 2 || price(who[n]) == 0) {
		samples += q.members[who[n]].samples()
		n++
	}
	out := [][]int{who[:n]}
	for _, i := range who[n:] {
		out = append(out, []int{i})
	}
	return out
}
