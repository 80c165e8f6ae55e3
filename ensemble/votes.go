package ensemble

import (
	"maps"
	"math"
	"slices"
)

// weighing says what the votes of a member are worth together.
type weighing struct {
	of func(m Member, keys int) float64 // keys is how many different answers there are

	// soft: a member whose own distribution over answers is known votes with
	// that instead of with samples of it.
	soft bool

	// product: such distributions are multiplied where all are known. See pool.
	product bool
}

var (
	byHead    = weighing{of: func(Member, int) float64 { return 1 }}
	byQuality = weighing{of: func(m Member, _ int) float64 { return m.weight() }, soft: true}
	byOdds    = weighing{of: odds, soft: true, product: true}
)

// odds weighs a member by the logarithm of the odds that it is right, as is best
// for members that err independently: quality is read as ten times its accuracy.
// With many possible answers even one that is mostly wrong tells something, so
// the odds are taken against any single other answer.
func odds(m Member, keys int) float64 {
	p := min(max(m.weight()/10, 0.02), 0.98)
	others := float64(max(len(m.Choices), keys, 2) - 1)
	return max(math.Log(p*others/(1-p)), 0.05)
}

// tally is what the votes say.
type tally struct {
	weight map[string]float64 // by key
	total  float64            // of all votes of those who answered, given or not
	open   float64            // of votes that may still come
}

// unended is what a vote for an answer that did not come to its end counts: it may
// have been on the way to a good one, or turn in circles.
const unended = 0.5

// count gives the candidates their members' votes, each member's spread over its
// samples so that it does not gain by speaking more often. Of a member that was cut short,
// the samples that were not waited for count as its others let expect; of one
// that said nothing yet, for no answer.
func (q *query) count(w weighing) tally {
	keys := q.distinct()
	if t, ok := q.pool(w, keys); ok {
		return t
	}
	t := tally{weight: map[string]float64{}}
	for i, p := range q.parts {
		if p.state == notAsked || p.err != nil {
			continue
		}
		vote := w.of(q.members[i], keys)
		n := float64(q.members[i].samples())
		t.total += vote
		if p.state == asked {
			t.open += vote * (n - float64(len(p.candidates))) / n
		}
		if p.spread != nil && w.soft {
			for key, share := range p.spread {
				t.weight[key] += vote * share
			}
			continue
		}
		for _, c := range p.candidates {
			part := vote / n
			if !c.whole() {
				part *= unended
			}
			t.weight[c.Key] += part
		}
		if left := n - float64(len(p.candidates)); p.state == cut && left < n {
			t.foresee(p.candidates, vote*left/n)
		}
	}
	return t
}

// unlikely is the probability that an answer keeps that a member gives none:
// nobody alone can rule one out.
const unlikely = 1e-4

// pool multiplies the distributions of members, where all of them are known, as
// is right for members that err independently: two that are half sure of the same
// answer are more sure together. Those that are worth less count for less, the
// best one for all.
func (q *query) pool(w weighing, keys int) (tally, bool) {
	if !w.product {
		return tally{}, false
	}
	logs, most := map[string]float64{}, 0.0
	for i, p := range q.parts {
		if p.state == asked || p.state == cut || p.err == nil && p.state == done && p.spread == nil {
			return tally{}, false
		}
		if p.spread != nil {
			most = max(most, w.of(q.members[i], keys))
		}
		for key := range p.spread {
			logs[key] = 0
		}
	}
	if len(logs) == 0 {
		return tally{}, false
	}
	for i, p := range q.parts {
		for key := range logs {
			if p.spread != nil {
				logs[key] += w.of(q.members[i], keys) / most * math.Log(max(p.spread[key], unlikely))
			}
		}
	}
	t := tally{weight: logs}
	top := slices.Max(slices.Collect(maps.Values(logs)))
	for key, l := range logs {
		t.weight[key] = math.Exp(l - top)
		t.total += t.weight[key]
	}
	return t, true
}

// foresee adds votes of a member that were not waited for, by the rule of
// succession: after 5 alike of 5 the next is so too with probability 6/7.
func (t tally) foresee(heard []Candidate, votes float64) {
	counts := map[string]float64{}
	for _, c := range heard {
		counts[c.Key]++
	}
	for key, n := range counts {
		t.weight[key] += votes * (n + 1) / float64(len(heard)+max(len(counts), 2))
	}
}

// distinct is how many different answers there are.
func (q *query) distinct() int {
	seen := map[string]bool{}
	for _, p := range q.parts {
		for _, c := range p.candidates {
			seen[c.Key] = true
		}
	}
	return len(seen)
}

func (t tally) share(key string) float64 {
	if t.total == 0 {
		return 0
	}
	return min(t.weight[key]/t.total, 1)
}

// leaders returns the weights of the first and the second answer.
func (t tally) leaders() (first, second float64) {
	for _, w := range t.weight {
		switch {
		case w > first:
			first, second = w, first
		case w > second:
			second = w
		}
	}
	return first, second
}

// leader is the answer with the largest weight, of equals the first by its key.
func (t tally) leader() string {
	best := ""
	for _, key := range slices.Sorted(maps.Keys(t.weight)) {
		if best == "" || t.weight[key] > t.weight[best] {
			best = key
		}
	}
	return best
}

// equal is how close two shares of votes are to count as the same.
const equal = 1e-9

// decided reports whether no vote that may still come can change the answer, and
// nobody wants to hear them all the same.
func (q *query) decided(w weighing) bool {
	if q.opts.AllVotes || q.mayJoin() {
		return false
	}
	t := q.count(w)
	first, second := t.leaders()
	return first-second > t.open+equal
}
