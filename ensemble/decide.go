package ensemble

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoConsensus: the members answered, but not alike.
var ErrNoConsensus = errors.New("no consensus")

// tally is what the votes say.
type tally struct {
	weight map[string]float64 // by key
	total  float64
}

// count gives every candidate one vote of its member's weight, spread over the
// member's samples so that a member does not gain by speaking more often.
func count(members []Member, perMember [][]Candidate) tally {
	t := tally{weight: map[string]float64{}}
	for i, candidates := range perMember {
		for _, c := range candidates {
			w := members[i].weight() / float64(len(candidates))
			t.weight[c.Key] += w
			t.total += w
		}
	}
	return t
}

func (t tally) share(key string) float64 {
	if t.total == 0 {
		return 0
	}
	return t.weight[key] / t.total
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

// best returns the candidate with the largest share of the votes. Of equals the
// one of the member with the highest quality wins, then the earlier one.
func best(members []Member, perMember [][]Candidate) Candidate {
	var top Candidate
	var topScore, topWeight float64 = -1, 0
	const equal = 1e-9
	for i, candidates := range perMember {
		for _, c := range candidates {
			better := c.Score > topScore+equal
			tied := c.Score > topScore-equal && members[i].weight() > topWeight
			if better || tied {
				top, topScore, topWeight = c, c.Score, members[i].weight()
			}
		}
	}
	return top
}

// agreed reports whether all members stand behind one answer, and if not, why
// in a few words. With a single member its samples stand for the members.
func agreed(results []MemberResult) (bool, string) {
	first := Normalize(results[0].Answer)
	var parts []string
	same := true
	for _, r := range results {
		switch {
		case r.Err != nil:
			same = false
			parts = append(parts, fmt.Sprintf("%s did not answer", r.Model))
		default:
			same = same && Normalize(r.Answer) == first
			parts = append(parts, fmt.Sprintf("%s says %q", r.Model, shorten(r.Answer, 40)))
		}
	}
	if len(results) == 1 && results[0].Err == nil && results[0].Share < 1 {
		return false, fmt.Sprintf("%.0f %% of %s's samples say %q",
			100*results[0].Share, results[0].Model, shorten(results[0].Answer, 40))
	}
	return same, strings.Join(parts, ", ")
}

// shorten cuts s to n runes for use in a message.
func shorten(s string, n int) string {
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n]) + "..."
}
