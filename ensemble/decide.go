package ensemble

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"retort/ensemble/meaning"
	"retort/llm"
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
			t.weight[c.Key] += vote / n
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
	if q.opts.AllVotes {
		return false
	}
	t := q.count(w)
	first, second := t.leaders()
	return first-second > t.open+equal
}

// score gives every candidate the share of its answer.
func (q *query) score(t tally) {
	for i := range q.parts {
		for j := range q.parts[i].candidates {
			c := &q.parts[i].candidates[j]
			c.Score = t.share(c.Key)
		}
	}
}

// best returns the candidate with the largest score. Of equals the one of the
// member with the highest quality wins, then the earlier one.
func (q *query) best() Candidate {
	var top Candidate
	var topScore, topWeight float64 = -1, 0
	for i, p := range q.parts {
		for _, c := range p.candidates {
			weight := q.members[i].weight()
			better := c.Score > topScore+equal
			tied := c.Score > topScore-equal && weight > topWeight
			if better || tied {
				top, topScore, topWeight = c, c.Score, weight
			}
		}
	}
	return top
}

// majority returns the candidate that stands for most of candidates: the first
// with the commonest key, and the share of them with that key.
func majority(candidates []Candidate) (Candidate, float64) {
	votes := map[string]int{}
	for _, c := range candidates {
		votes[c.Key]++
	}
	best := candidates[0]
	for _, c := range candidates {
		if votes[c.Key] > votes[best.Key] {
			best = c
		}
	}
	return best, float64(votes[best.Key]) / float64(len(candidates))
}

// unsampled is the answer with that key of a member that knows it as a choice
// but happened not to draw it.
func (q *query) unsampled(key string, score float64) Candidate {
	for _, i := range q.byWorth() {
		m := q.members[i]
		if q.parts[i].spread == nil {
			continue
		}
		for _, text := range m.Choices {
			if meaning.Key(text) == key {
				return Candidate{Model: m.Model.ID(), Sample: -1, Text: text, Key: key, Score: score, FinishReason: llm.FinishStop}
			}
		}
	}
	return Candidate{}
}

// stand is the answer that member i stands for, and the share of its votes: by
// its own distribution if that votes, else what most of its samples say.
func (q *query) stand(i int) (Candidate, float64) {
	p := q.parts[i]
	top, share := majority(p.candidates)
	if !q.soft || p.spread == nil || p.state != done {
		return top, share
	}
	best := tally{weight: p.spread}.leader()
	if best == top.Key {
		return top, p.spread[best]
	}
	if j := slices.IndexFunc(p.candidates, func(c Candidate) bool { return c.Key == best }); j >= 0 {
		return p.candidates[j], p.spread[best]
	}
	return q.unsampled(best, 0), p.spread[best]
}

// fixed returns the key that most of member i's samples have, if those still to
// come cannot change that.
func (q *query) fixed(i int) (string, bool) {
	p := q.parts[i]
	if len(p.candidates) == 0 {
		return "", false
	}
	votes := map[string]int{}
	for _, c := range p.candidates {
		votes[c.Key]++
	}
	if p.state == done {
		top, _ := q.stand(i)
		return top.Key, true
	}
	top, share := majority(p.candidates)
	second := 0
	for key, n := range votes {
		if key != top.Key {
			second = max(second, n)
		}
	}
	left := q.members[i].samples() - len(p.candidates)
	first := int(math.Round(share * float64(len(p.candidates))))
	return top.Key, first-second > left
}

// settle makes top the answer: it fills in the members' results and what the
// outcome says of agreement and confidence. confidence is the strategy's own
// measure, which stands unless it can be calibrated.
func (q *query) settle(top Candidate, t tally, confidence float64) {
	q.top = top
	o := &q.out
	o.Answer, o.FinishReason, o.key = top.Text, top.FinishReason, top.Key
	o.Members = o.Members[:0]
	for i := range q.parts {
		o.Members = append(o.Members, q.result(i))
	}
	o.Agreed, _ = agreed(o.Members)
	o.Agreement = t.share(top.Key)
	o.Signals = q.signals(t)
	o.Confidence, o.Calibrated = q.opts.calibrate(o.Signals.Raw(), confidence)
}

// result is what the outcome tells of member i.
func (q *query) result(i int) MemberResult {
	p, m := q.parts[i], q.members[i]
	r := MemberResult{Model: m.Model.ID(), Quality: m.weight(), Latency: p.latency, Err: p.err,
		Skipped: p.state == notAsked || p.state == cut, Samples: len(p.candidates)}
	if len(p.candidates) == 0 {
		return r
	}
	top, share := q.stand(i)
	r.Answer, r.key, r.Share, r.Score = top.Text, top.Key, share, top.Score
	r.Usage = usageOf(p.candidates)
	r.CostUSD = m.cost(r.Usage)
	return r
}

// agreed reports whether all members that were asked stand behind one answer,
// and if not, why in a few words. With a single member its samples stand for the
// members.
func agreed(results []MemberResult) (bool, string) {
	var parts []string
	var first *MemberResult
	same, answered := true, 0
	for i, r := range results {
		switch {
		case r.Err != nil:
			same = false
			parts = append(parts, fmt.Sprintf("%s did not answer", r.Model))
		case r.Samples > 0:
			if first == nil {
				first = &results[i]
			}
			answered++
			same = same && r.key == first.key
			parts = append(parts, fmt.Sprintf("%s says %q", r.Model, shorten(r.Answer, 40)))
		}
	}
	if len(results) == 1 && answered == 1 && first.Share < 1 {
		return false, fmt.Sprintf("%.0f %% of %s's samples say %q", 100*first.Share, first.Model, shorten(first.Answer, 40))
	}
	return same && answered > 0, strings.Join(parts, ", ")
}

// all are the indices of all members.
func (q *query) all() []int {
	who := make([]int, len(q.members))
	for i := range who {
		who[i] = i
	}
	return who
}

// byWorth are the indices of all members, the best first.
func (q *query) byWorth() []int {
	who := q.all()
	slices.SortStableFunc(who, func(a, b int) int {
		wa, wb := q.members[a].weight(), q.members[b].weight()
		switch {
		case wa > wb:
			return -1
		case wa < wb:
			return 1
		}
		return 0
	})
	return who
}

// shorten cuts s to n runes for use in a message.
func shorten(s string, n int) string {
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n]) + "..."
}
