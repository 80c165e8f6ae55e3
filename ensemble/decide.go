package ensemble

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"retort/ensemble/meaning"
	"retort/llm"
)

// score gives every candidate the share of its answer.
func (q *query) score(t tally) {
	for i := range q.parts {
		for j := range q.parts[i].candidates {
			c := &q.parts[i].candidates[j]
			c.Score = t.share(c.Key)
		}
	}
}

// best returns the candidate with the largest score. Of equals one that came to
// its end wins, then the one of the member with the highest quality, then the
// earlier one.
func (q *query) best() Candidate {
	var top Candidate
	var topScore, topWeight float64 = -1, 0
	for i, p := range q.parts {
		for _, c := range p.candidates {
			weight := q.members[i].weight()
			better := c.Score > topScore+equal
			tied := c.Score > topScore-equal
			if better || tied && (c.whole() && !top.whole() || c.whole() == top.whole() && weight > topWeight) {
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
	if i, ok := q.sole(); ok {
		confidence, o.Agreed, o.Method = q.members[i].weight()/10, false, MethodRecord
	}
	o.Agreement = t.share(top.Key)
	o.Signals = q.signals(t)
	o.Confidence, o.Calibrated = q.opts.calibrate(o.Signals.Raw(), confidence)
}

// sole is the member that gave the only answer there is, if one did: with nothing to
// agree with, its record speaks. One that knows how likely each choice is has said more.
func (q *query) sole() (member int, ok bool) {
	n := 0
	for i, p := range q.parts {
		if n += len(p.candidates); len(p.candidates) > 0 {
			member = i
		}
		if p.state == cut { // the votes had decided
			return 0, false
		}
	}
	return member, n == 1 && q.parts[member].spread == nil
}

// result is what the outcome tells of member i.
func (q *query) result(i int) MemberResult {
	p, m := q.parts[i], q.members[i]
	r := MemberResult{Model: m.Model.ID(), Quality: m.weight(), Latency: p.latency, Err: p.err,
		Skipped: p.state == notAsked || p.state == cut, Samples: len(p.candidates)}
	r.Usage = usageOf(p.candidates).Add(p.lost)
	r.CostUSD = m.cost(r.Usage)
	if len(p.candidates) == 0 {
		return r
	}
	top, share := q.stand(i)
	r.Answer, r.key, r.Share, r.Score = top.Text, top.Key, share, top.Score
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
